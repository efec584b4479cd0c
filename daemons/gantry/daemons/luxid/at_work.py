"""What jobs' processes do at this moment: told to whoever asks, kept in no record.

A restarted LuxiD learns it again from what the processes say next.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, evolve, field

from gantry.core.query.jobs import Doing, JobInside
from gantry.core.queue.queued_because import queued_because
from gantry.daemons.luxid.store import QueueStore
from gantry.protocols.identity import JobId
from gantry.protocols.jobproc import Advanced, BlockedBy, Numbered, OpcodeChanged, Recorded

IDLE = Doing()


@define
class AtWork:
    """The jobs at work, as their processes tell of them."""

    store: QueueStore
    _doing: dict[JobId, Doing] = field(factory=dict, init=False)

    def hear(self, job: JobId, said: Iterable[Numbered]) -> None:
        """Take over what a process says of this moment, and wake whoever waits for it."""
        before = after = self._doing.get(job, IDLE)
        for each in said:
            match each.event:
                case BlockedBy(jobs):
                    after = evolve(after, blocked_by=jobs)
                case Advanced():
                    after = evolve(after, advanced=each.event)
                case Recorded() | OpcodeChanged():  # another step is at work, or none
                    after = evolve(after, advanced=None)
                case _:
                    pass
        if after != before:
            self._doing[job] = after
            self.store.changes.announce([job])

    def forget(self, job: JobId) -> None:
        """Forget what a process did that is no more."""
        if self._doing.pop(job, IDLE) != IDLE:
            self.store.changes.announce([job])

    def inside(self, job: JobId) -> JobInside | None:
        """Return what is known of a job beyond what Ganeti knows; ``None``: it is archived."""
        queue = self.store.committed
        entry = queue.entry(job)
        if entry is None:
            return None
        because = queued_because(queue, entry, self.store.rules)
        doing = self._doing.get(job, IDLE)
        return JobInside(entry.course, entry.paused, entry.cancel_wanted, because, doing)
