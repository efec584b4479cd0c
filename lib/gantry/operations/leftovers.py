"""Left-overs and plans: what a call is about, and which plans have to wait until it is clean."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import Key, LeftoverUuid, NodeUuid
from gantry.protocols.objects.leftover import Leftover, LeftoverOf
from gantry.protocols.steps import NodeCall, Plan

_NAMES: Final = uuid.UUID("7ad1bb2c-5f5b-4b7e-8f0f-6a6a0c1f0d11")
"""The space in which keys become UUIDs (RFC 4122, version 5): the same undo is one left-over."""


def leftover_uuid(undo: Key) -> LeftoverUuid:
    """Return the UUID of what an undo could not do."""
    return LeftoverUuid(str(uuid.uuid5(_NAMES, str(undo))))


def subject_of(call: NodeCall) -> tuple[LeftoverOf, str] | None:
    """Return the kind and name of what a call is about; ``None``: the node as a whole."""
    match call.args.get("instance"):
        case str() as name:
            return "instance", name
        case {"name": str() as name}:
            return "instance", name
        case _:
            return None


def called_nodes(plan: Plan) -> tuple[NodeUuid, ...]:
    """Return the nodes on which a plan acts by calls, without repeats."""
    return tuple(dict.fromkeys(s.do.node for s in plan.steps if isinstance(s.do, NodeCall)))


def check_clean(plan: Plan, leftovers: Iterable[Leftover]) -> None:
    """Refuse a plan that uses an object where an earlier job has left a part of it.

    Raises:
        OpPrereqError: with what is left, and what to do about it.
    """
    by_place = {(each.node, each.object_kind, each.object_name): each for each in leftovers}
    for step in plan.steps:
        subject = subject_of(step.do) if isinstance(step.do, NodeCall) else None
        if not isinstance(step.do, NodeCall) or subject is None:
            continue
        left = by_place.get((step.do.node, *subject))
        if left is not None:
            raise OpPrereqError(
                f"the node still has a part of {left.object_kind} {left.object_name} that job "
                f"{left.job} could not remove ({left.reason}); it is cleaned up by itself when "
                "the node answers, or with: gnt-node clean-up",
                "wrong_state",
            )
