"""The statuses of a job and of its opcodes: which go together, and which may follow another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.simulation.cluster import FINAL

MOVES: Final[Mapping[str, frozenset[str]]] = {
    "queued": frozenset({"waiting", "canceled", "error"}),
    "waiting": frozenset({"running", "canceling", "canceled", "error"}),
    "canceling": frozenset({"canceled", "error"}),
    "running": frozenset({"success", "canceled", "error"}),
    **dict.fromkeys(FINAL, frozenset()),
}
"""What an opcode's status may become next. Written down here once more, so that a mistake in the
product's own table is seen."""

LATER: Final[Mapping[str, frozenset[str]]] = {
    "error": frozenset({"error"}),
    "canceled": frozenset({"canceled"}),
    "canceling": frozenset({"canceling", "queued"}),
    **dict.fromkeys(("queued", "waiting", "running"), frozenset({"queued"})),
}
"""What opcodes are after the first one that is no success: they run one after the other."""


class NotAllowed(AssertionError):
    """A job's statuses are, or became, what no job's may."""


def _reachable(status: str) -> frozenset[str]:
    """Return what a status may become in time: nobody sees every step of the way."""
    found = {status}
    while more := {after for each in found for after in MOVES[each]} - found:
        found |= more
    return frozenset(found)


REACHABLE: Final[Mapping[str, frozenset[str]]] = {status: _reachable(status) for status in MOVES}


def derived(op_statuses: Sequence[str]) -> str:
    """Return the status of a job from those of its opcodes.

    The first one that failed or is (being) cancelled decides, else the last one that waits or runs.
    """
    for status in op_statuses:
        if status in ("error", "canceling", "canceled"):
            return status
    if all(status == "success" for status in op_statuses):
        return "success"
    at_work = [status for status in op_statuses if status in ("waiting", "running")]
    return at_work[-1] if at_work else "queued"


def _misfits(status: str, op_statuses: Sequence[str]) -> Iterator[str]:
    """Say what does not go together at one moment."""
    if status != derived(op_statuses):
        yield f"is {status} with opcodes that are {', '.join(op_statuses)}"
    rest = [each for each in op_statuses if each != "success"]
    if "success" in op_statuses[len(op_statuses) - len(rest) :]:
        yield f"has a success after what is none: {', '.join(op_statuses)}"
    elif rest and not {*rest[1:]} <= LATER[rest[0]]:
        yield f"has opcodes at work that are not next: {', '.join(op_statuses)}"


def statuses_follow_the_allowed_transitions(
    before: tuple[str, Sequence[str]] | None, after: tuple[str, Sequence[str]]
) -> Iterator[str]:
    """Find statuses of a job that do not go together, or that can not follow what was seen before.

    Of each opcode only what :data:`MOVES` leads to; since a job's status is :func:`derived`, it
    takes an end back no more than its opcodes do. A job that goes on after an opcode is queued
    again, and so is one whose next process starts it anew: that is no step back of an opcode.
    """
    yield from _misfits(*after)
    if before is not None:
        for number, (old, new) in enumerate(zip(before[1], after[1], strict=True)):
            if new not in REACHABLE[old]:
                yield f"went from {old} to {new} with opcode {number}"


def check_change(job: int, before: Sequence[object] | None, after: Sequence[object]) -> None:
    """Compare a job's status and its opcodes' statuses with those heard before.

    Raises:
        NotAllowed: they can not have become that.
    """
    earlier = None if before is None else _pair(before)
    wrong = [*statuses_follow_the_allowed_transitions(earlier, _pair(after))]
    if wrong:
        raise NotAllowed(f"job {job} {'; '.join(wrong)}")


def _pair(heard: Sequence[object]) -> tuple[str, Sequence[str]]:
    """Return what was heard with its types."""
    match heard:
        case [str() as status, [*op_statuses]]:
            return status, [*map(str, op_statuses)]
        case _:
            raise NotAllowed(f"no statuses of a job: {heard!r}")
