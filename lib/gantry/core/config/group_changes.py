"""Changes of node groups."""

from __future__ import annotations

from typing import assert_never

from attrs import evolve

from gantry.core.config.breaches import broken
from gantry.core.config.claims import Ref
from gantry.core.config.draft import Draft, Refusal
from gantry.protocols.changes import (
    AddGroup,
    AssignGroups,
    GroupChange,
    RemoveGroup,
    RestoreGroup,
    UpdateGroup,
)
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.node import Node


def change_groups(draft: Draft, change: GroupChange) -> None:
    """Make a change of a node group."""
    match change:
        case AddGroup(group):
            draft.add(evolve(group, members=()))
        case UpdateGroup(group):
            draft.replace(group)
        case AssignGroups(groups):
            for uuid, group_uuid in groups.items():
                draft.replace(evolve(draft.get(Node, Ref("node", uuid)), group=group_uuid))
        case RestoreGroup(group):
            draft.replace(draft.rebased(group))
        case RemoveGroup(uuid):
            _remove(draft, draft.get(NodeGroup, Ref("nodegroup", uuid)))
        case _:
            assert_never(change)


def _remove(draft: Draft, group: NodeGroup) -> None:
    if len(draft.configuration.nodegroups) == 1:
        raise Refusal(broken("there is a node group", group, "is the last node group"))
    draft.remove(group)
