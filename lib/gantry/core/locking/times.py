"""Since when locks are held and waited for: for people, and of no consequence for who gets what.

Kept in memory only: of what a job held already when WConfD started it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, evolve, field

from gantry.core.locking.waiting import Locks, states
from gantry.protocols.identity import JobId
from gantry.protocols.locks import LockName, LockState


@define
class LockTimes:
    """Times in seconds since the epoch."""

    _held: dict[JobId, dict[LockName, float]] = field(factory=dict, init=False)
    _asked: dict[JobId, float] = field(factory=dict, init=False)

    def holds(self, job: JobId, names: Iterable[LockName], now: float) -> None:
        """Note what a job holds from now on; what it held before it has for longer."""
        before = self._held.get(job, {})
        held = {name: before.get(name, now) for name in names}
        if held:
            self._held[job] = held
        else:
            self._held.pop(job, None)

    def asks(self, job: JobId, now: float) -> None:
        """Note that a job begins to wait."""
        self._asked[job] = now

    def waits_no_more(self, job: JobId) -> None:
        """Note that a job has got what it wanted, or has given up."""
        self._asked.pop(job, None)

    def states(self, locks: Locks) -> tuple[LockState, ...]:
        """Return every lock that is held or waited for, with times."""
        return tuple(self._with_times(each) for each in states(locks))

    def _with_times(self, state: LockState) -> LockState:
        since = tuple(self._held.get(job, {}).get(state.name) for job in state.owners)
        waits = tuple(evolve(wait, since=self._asked.get(wait.job)) for wait in state.waits)
        return evolve(state, since=since, waits=waits)
