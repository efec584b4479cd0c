"""Which role a node has, and which it gets when its flags are changed.

A node is at most one of master candidate, drained and offline; without any it is a regular one.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpNodeSetParams

Role = Literal["candidate", "drained", "offline", "regular"]

ONE_ROLE: Final = "a node can be made only one of master candidate, drained and offline"


def role_of(node: Node) -> Role:
    """Return a node's role."""
    if node.master_candidate:
        return "candidate"
    if node.drained:
        return "drained"
    return "offline" if node.offline else "regular"


def with_role(node: Node, role: Role) -> Node:
    """Return a node in another role."""
    return attrs.evolve(
        node,
        master_candidate=role == "candidate",
        drained=role == "drained",
        offline=role == "offline",
    )


def wanted_role(opcode: OpNodeSetParams, node: Node, *, pool_has_room: bool) -> Role:
    """Return the role that a node gets.

    A node that comes back (it was offline, drained, or not master capable) becomes a candidate if
    the pool has room for it.

    Args:
        opcode: what is asked for.
        node: the node as it is.
        pool_has_room: whether there are fewer other candidates than there should be.

    Raises:
        OpPrereqError: more than one role is asked for, or one that it can not have.
    """
    flags: dict[Role, bool | None] = {
        "candidate": opcode.master_candidate,
        "drained": opcode.drained,
        "offline": opcode.offline,
    }
    asked = [role for role, flag in flags.items() if flag]
    if len(asked) > 1:
        raise OpPrereqError(ONE_ROLE, "wrong_input")
    capable = node.master_capable if opcode.master_capable is None else opcode.master_capable
    if asked == ["candidate"] and not capable:
        text = f"node {node.name} is not master capable, so that it can not be a master candidate"
        raise OpPrereqError(text, "wrong_state")
    if asked:
        return asked[0]
    role = role_of(node)
    if role == "candidate":
        return "regular" if opcode.master_candidate is False or not capable else role
    comes_back = role != "regular" and flags[role] is False
    if not comes_back and role != "regular":
        return role
    becomes_capable = capable and not node.master_capable
    promoted = (comes_back or becomes_capable) and capable and opcode.master_candidate is None
    return "candidate" if promoted and pool_has_room else "regular"


def might_demote(opcode: OpNodeSetParams) -> bool:
    """Whether the opcode may take a candidate out of the pool."""
    return (
        opcode.master_candidate is False
        or bool(opcode.offline)
        or bool(opcode.drained)
        or opcode.master_capable is False
    )


def candidates_missing(cluster: Cluster, nodes: list[Node]) -> int:
    """Return how many more of these nodes should be master candidates."""
    possible = [n for n in nodes if n.master_capable and not n.offline and not n.drained]
    present = sum(node.master_candidate for node in nodes)
    return max(0, min(cluster.candidate_pool_size, len(possible)) - present)
