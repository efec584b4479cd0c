"""Hooks of operations on node groups: on the master, where not said otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.operations.hooks import Hooks
from gantry.operations.operation import unique
from gantry.protocols.identity import NodeUuid
from gantry.protocols.wconfd import ConfigPart


def group_hooks(
    path: str, part: ConfigPart, variables: Mapping[str, object], *more_nodes: NodeUuid
) -> Hooks:
    """Return the hooks of an operation on a node group."""
    nodes = unique((part.cluster.master_node, *more_nodes))
    return Hooks(path, "GROUP", nodes, nodes, variables)
