"""Plans in few words: what is kept of them for people, and printed by a dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import assert_never

from gantry.protocols.identity import NodeUuid
from gantry.protocols.job_course import PlanOutline, StepOutline
from gantry.protocols.steps import (
    Action,
    Commit,
    Delay,
    NodeCall,
    NoUndo,
    Plan,
    RunHooks,
    Say,
    Step,
    SubmitJobs,
    TakeBack,
)


def outline(plan: Plan) -> PlanOutline:
    """Return what people want to know of a plan."""
    return PlanOutline(tuple(map(_outlined, plan.steps)), plan.no_return)


def _outlined(step: Step) -> StepOutline:
    undone = not isinstance(step.undo, NoUndo)
    undo = step.undo.reason if isinstance(step.undo, NoUndo) else action_text(step.undo)
    action, nodes = action_text(step.do), nodes_of(step.do)
    return StepOutline(step.name, step.kind, action, nodes, undo, undone, step.tolerate)


def nodes_of(action: Action) -> tuple[NodeUuid, ...]:
    """Return the nodes on which an action is done."""
    match action:
        case NodeCall(node) | TakeBack(call=NodeCall(node)):
            return (node,)
        case RunHooks(nodes=nodes):
            return nodes
        case Commit() | Delay() | SubmitJobs() | Say():
            return ()
    assert_never(action)


def action_text(action: Action) -> str:
    """Say in a few words what an action does; no value of it is told."""
    match action:
        case NodeCall(method=method):
            return f"call {method}"
        case TakeBack(key=key, call=left):
            return f"call {left.method}, which job {key.job} could not"
        case Commit(change):
            return f"configuration change {type(change).__name__}"
        case Delay(seconds):
            return f"wait {seconds:g} s"
        case RunHooks(path=path, phase=phase):
            return f"{phase}-hooks of {path}"
        case SubmitJobs(jobs):
            return f"submit {len(jobs)} jobs: {_counted(_op_ids(jobs))}"
        case Say():
            return "write to the job's log"
    assert_never(action)


def _op_ids(jobs: Iterable[Iterable[object]]) -> Iterable[str]:
    for ops in jobs:
        for op in ops:
            yield str(op.get("OP_ID")) if isinstance(op, dict) else "?"


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(Counter(names).items()))
