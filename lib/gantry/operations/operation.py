"""What an operation is: the locks that an opcode needs, and the plan that carries it out.

``locks`` is asked first, on a configuration that may still change; when its locks are held it
is asked again, and if it then wants others those are taken instead. ``plan`` checks everything
that can be checked and chooses every value; it changes nothing but the job's reservations.
From then on the plan is data (:mod:`gantry.protocols.steps`) and the operation is not asked
again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

from attrs import frozen

from gantry.operations.world import World
from gantry.protocols.identity import NodeUuid
from gantry.protocols.locks import BGL, Level, LockRequest, Mode, lock_name, lock_set
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.steps import Action, Kind, Look, NoUndo, Plan, Step, StepName

O = TypeVar("O", bound=Opcode)  # noqa: E741 - the opcode's type, in every signature below

Locks = tuple[LockRequest, ...]


@frozen
class Operation(Generic[O]):
    """How one kind of opcode is carried out."""

    opcode: type[O]
    locks: Callable[[O, World], Awaitable[Locks]]
    plan: Callable[[O, World], Awaitable[Plan]]
    version: int = 1
    """Raised when the steps that ``plan`` makes change their order or meaning."""


AnyOperation = Operation[Any]


async def only_the_big_lock(opcode: Opcode, world: World) -> Locks:
    """Need the cluster's big lock shared: the locks of an operation that touches no object."""
    return (LockRequest(BGL, "shared"),)


async def the_whole_cluster(opcode: Opcode, world: World) -> Locks:
    """Need the cluster's big lock for itself: nothing else runs meanwhile."""
    return (LockRequest(BGL, "exclusive"),)


Members = tuple[Level, Mode, Iterable[str]]
"""Some members of one level, and how they are to be locked."""


def locks(*levels: Members) -> Locks:
    """Return the requests for members of some levels, with the big lock shared."""
    wanted = [LockRequest(BGL, "shared")]
    for level, mode, members in levels:
        wanted += [LockRequest(lock_name(level, m), mode) for m in sorted(set(members))]
    return tuple(wanted)


def all_of(level: Level, mode: Mode) -> LockRequest:
    """Return the request for all members of a level, present and future."""
    return LockRequest(lock_set(level), mode)


NOTHING_TO_UNDO = NoUndo("it changes nothing that stays")


def step(
    name: str,
    kind: Kind,
    do: Action,
    undo: Action | NoUndo = NOTHING_TO_UNDO,
    *,
    tolerate: bool = False,
    looks: tuple[Look, ...] = (),
) -> Step:
    """Return one step of a plan; a checked one says by which signs it is known to have happened."""
    return Step(StepName(name), kind, do, undo, tolerate, looks)


def unique(nodes: Iterable[NodeUuid]) -> tuple[NodeUuid, ...]:
    """Return nodes without repeats, in their order."""
    return tuple(dict.fromkeys(nodes))
