"""How far an opcode has come: its step records, folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

from attrs import field, frozen

from gantry.protocols.codec import Json
from gantry.protocols.identity import NodeUuid
from gantry.protocols.jobs import Choice
from gantry.protocols.steps import (
    Action,
    Asked,
    Decided,
    Delay,
    Done,
    Holds,
    Leftover,
    NodeCall,
    NoUndo,
    Plan,
    Planned,
    RunHooks,
    Say,
    Started,
    StepRecord,
    TakeBack,
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

    asked: Mapping[int | None, Asked] = field(factory=dict)
    """What a person was asked and has not answered, by the step (``None``: the whole plan)."""

    decided: Mapping[int | None, Choice] = field(factory=dict)
    """The answers that were not acted on yet."""

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

    def to_undo(self, *, is_whole: bool) -> tuple[int, ...]:
        """Return the steps to undo, the last one first.

        Args:
            is_whole: whether the journal has all that was begun. A new master's has not: a step
                whose start did not have to be committed may have been begun unknown to it. To
                undo what never was does nothing, since the owners know by the key.
        """
        begun, plan = self.started | self.done.keys(), self.plan
        if not is_whole and plan is not None:
            after = max(begun, default=len(plan.steps)) + 1
            unheard = range(after, len(plan.steps))
            begun |= {*takewhile(lambda n: not must_be_known(plan, n), unheard)}
        return tuple(sorted(begun - self.undone, reverse=True))


def must_be_known(plan: Plan, number: int) -> bool:
    """Whether a step acts only when it is committed that it was begun.

    What does something that can not just be done again, or undone, must be known to whoever
    goes on, wherever that is.
    """
    step = plan.steps[number]
    return step.kind != "idempotent" or step.name == plan.no_return


def changes(action: Action) -> bool:
    """Whether an action may change anything but the job itself."""
    return not isinstance(action, Delay | Say)


def fold(records: Iterable[StepRecord], opcode: int) -> Progress:  # noqa: C901 - one case per kind
    """Return how far an opcode has come."""
    plan: Plan | None = None
    started: set[int] = set()
    done: dict[int, Json] = {}
    undone: set[int] = set()
    turned_back: TurnedBack | None = None
    asked: dict[int | None, Asked] = {}
    decided: dict[int | None, Choice] = {}
    for record in records:
        if record.opcode != opcode:
            continue
        match record:
            case Planned(plan=made):
                plan = made
            case Started(step=step):
                started.add(step)
                asked.pop(step, None)
                decided.pop(step, None)
            case Done(step=step, result=result):
                done[step] = result
            case TurnedBack():
                turned_back = record
            case Undone(step=step) | Leftover(step=step):
                undone.add(step)
            case Asked(step=about):
                asked[about] = record
            case Decided(step=about, choice=choice):
                asked.pop(about, None)
                decided[about] = choice
            case Holds():
                pass  # of no interest to the one who has it
    return Progress(plan, frozenset(started), done, frozenset(undone), turned_back, asked, decided)


def nodes_of(records: Iterable[StepRecord]) -> frozenset[NodeUuid]:
    """Return the nodes that a job's plans act on: they keep keys for it.

    Without those that something is left on: whoever cleans up needs the keys.
    """
    plans: dict[int, Plan] = {}
    acted: set[NodeUuid] = set()
    unclean: set[NodeUuid] = set()
    for record in records:
        match record:
            case Planned(opcode=opcode, plan=plan):
                plans[opcode] = plan
                actions = (each for step in plan.steps for each in (step.do, step.undo))
                acted |= {node for each in actions for node in nodes_on(each)}
            case Leftover(opcode=opcode, step=number):
                unclean |= {*nodes_on(plans[opcode].steps[number].undo)}
            case _:
                pass
    return frozenset(acted - unclean)


def nodes_on(action: Action | NoUndo) -> tuple[NodeUuid, ...]:
    """Return the nodes that an action calls."""
    match action:
        case NodeCall(node=node):
            return (node,)
        case RunHooks(nodes=nodes):
            return nodes
        case TakeBack(call=call):
            return (call.node,)
        case _:
            return ()
