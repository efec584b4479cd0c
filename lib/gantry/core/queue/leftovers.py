"""What a job that could not be rolled back may have left behind, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gantry.protocols.steps import (
    Asked,
    Decided,
    Done,
    Holds,
    Leftover,
    Plan,
    Planned,
    Started,
    StepRecord,
    TurnedBack,
    Undone,
)


def what_is_left(records: Iterable[StepRecord]) -> tuple[str, ...]:
    """Name every step that has (or may have) acted and was not undone, oldest first."""
    plans: dict[int, Plan] = {}
    acted: dict[tuple[int, int], str] = {}
    for record in records:
        match record:
            case Planned(opcode, plan):
                plans[opcode] = plan
            case Started(opcode, step):
                acted.setdefault((opcode, step), "may have been done")
            case Done(opcode, step):
                acted[opcode, step] = "was done"
            case TurnedBack() | Holds() | Asked() | Decided():
                pass  # says something of the opcode, not what it did
            case Undone(opcode, step):
                acted.pop((opcode, step), None)
            case Leftover(opcode, step, text):
                acted[opcode, step] = f"could not be undone ({text})"
    return tuple(f"{_name(plans, *place)} {state}" for place, state in acted.items())


def _name(plans: dict[int, Plan], opcode: int, step: int) -> str:
    steps: Sequence[object] = plans[opcode].steps if opcode in plans else ()
    name = plans[opcode].steps[step].name if step < len(steps) else f"number {step}"
    return f"step {name!r} of opcode {opcode}"


def epitaph(job: int, records: Iterable[StepRecord]) -> str:
    """Return the result of a job whose processes died too often while rolling it back."""
    left = what_is_left(records)
    if not left:
        return f"job process died; nothing of job {job} is known to be left behind"
    return f"job process died, and rolling job {job} back failed: {'; '.join(left)}"
