"""The fields of the providers of external storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from gantry.core.query.fields import Field, Table, table
from gantry.protocols.codec import Json


@frozen
class ProviderRow:
    """One provider, as all nodes together see it."""

    name: str
    node_status: Mapping[str, Json]
    """By node name: path, whether it is usable, what is wrong, its parameters."""
    nodegroup_status: Mapping[str, bool]
    """By group name: whether it is usable on all of the group's nodes."""
    parameters: tuple[tuple[str, str], ...]


PROVIDERS: Final[Table[ProviderRow]] = table("extstorage", "name", (
    Field("name", "Name", "text", "Name of the provider", lambda r: (0, r.name), "node"),
    Field("node_status", "NodeStatus", "other", "What each node has under this name",
          lambda r: (0, dict(r.node_status)), "node"),
    Field("nodegroup_status", "NodegroupStatus", "other", "In which node groups it is usable",
          lambda r: (0, dict(r.nodegroup_status)), "node"),
    Field("parameters", "Parameters", "other", "Parameters of its disks",
          lambda r: (0, [list(pair) for pair in r.parameters]), "node"),
))  # fmt: skip
