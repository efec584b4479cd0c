"""The statuses that a client hears of one after the other, and which of them may follow another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tests.simulation.people import RANKS

from gantry.core.queue.transitions import ALLOWED


class NotAllowed(AssertionError):
    """A job's status, or an opcode's, went where no status may go."""


def _reachable() -> Mapping[str, frozenset[str]]:
    """Return what each opcode status may become; a client does not see every step of the way."""
    found = {str(status): {str(status)} for status in ALLOWED}
    for _ in ALLOWED:
        for status, there in found.items():
            there.update(str(after) for each in there.copy() for after in ALLOWED[each])  # type: ignore[index] # the keys are its own
            found[status] = there
    return {status: frozenset(there) for status, there in found.items()}


REACHABLE: Final = _reachable()


def check_change(job: int, before: Sequence[object] | None, after: Sequence[object]) -> None:
    """Compare a job's status and its opcodes' statuses with those heard before.

    Raises:
        NotAllowed: they can not have become that.
    """
    match before, after:
        case [str() as old, [*old_ops]], [str() as new, [*new_ops]]:
            pairs = zip(old_ops, new_ops, strict=True)
            wrong = [f"{a} to {b}" for a, b in pairs if b not in REACHABLE[str(a)]]
            if RANKS[new] < RANKS[old]:
                wrong.append(f"{old} to {new}, as a whole")
            if wrong:
                raise NotAllowed(f"job {job} went from {', '.join(wrong)}")
        case _:
            pass  # nothing was heard before
