"""How far an opcode has come: its step records, folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from gantry.protocols.codec import Json
from gantry.protocols.identity import NodeUuid
from gantry.protocols.steps import (
    Action,
    Done,
    Leftover,
    NodeCall,
    NoUndo,
    Plan,
    Planned,
    RunHooks,
    Started,
    StepRecord,
    TurnedBack,
    Undone,
)


@frozen
class Progress:
    """The state of one opcode as its journal tells it."""

    plan: Plan | None = None
    started: frozenset[int] = frozenset()
    done: Mapping[int, Json] = field(factory=dict)
    undone: frozenset[int] = frozenset()
    """Undone, or given up as a left-over."""

    turned_back: TurnedBack | None = None
    """Set once the opcode is being undone, for whatever reason."""

    @property
    def complete(self) -> bool:
        """Whether every step is done."""
        return self.plan is not None and len(self.done) == len(self.plan.steps)

    @property
    def past_return(self) -> bool:
        """Whether the plan may only be carried on, never undone."""
        if self.plan is None or self.plan.no_return is None:
            return False
        return any(self.plan.steps[step].name == self.plan.no_return for step in self.done)

    @property
    def interrupted(self) -> int | None:
        """The step that was begun and whose end is not known."""
        return next(iter(self.started - self.done.keys() - self.undone), None)

    @property
    def to_undo(self) -> tuple[int, ...]:
        """The steps to undo, the last one first."""
        return tuple(sorted((self.started | self.done.keys()) - self.undone, reverse=True))


def fold(records: Iterable[StepRecord], opcode: int) -> Progress:
    """Return how far an opcode has come."""
    plan: Plan | None = None
    started: set[int] = set()
    done: dict[int, Json] = {}
    undone: set[int] = set()
    turned_back: TurnedBack | None = None
    for record in records:
        if record.opcode != opcode:
            continue
        match record:
            case Planned(plan=made):
                plan = made
            case Started(step=step):
                started.add(step)
            case Done(step=step, result=result):
                done[step] = result
            case TurnedBack():
                turned_back = record
            case Undone(step=step) | Leftover(step=step):
                undone.add(step)
    return Progress(plan, frozenset(started), done, frozenset(undone), turned_back)


def nodes_of(records: Iterable[StepRecord]) -> frozenset[NodeUuid]:
    """Return the nodes that a job's plans act on: they keep keys for it."""
    plans = [record.plan for record in records if isinstance(record, Planned)]
    steps = [step for plan in plans for step in plan.steps]
    return frozenset(node for step in steps for each in (step.do, step.undo) for node in _on(each))


def _on(action: Action | NoUndo) -> tuple[NodeUuid, ...]:
    match action:
        case NodeCall(node=node):
            return (node,)
        case RunHooks(nodes=nodes):
            return nodes
        case _:
            return ()
