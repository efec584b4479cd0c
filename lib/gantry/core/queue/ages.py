"""Which jobs came long ago, by the monotonic clock: the wall clock may be set at any time.

The journal knows when a job came by the wall clock of whoever was the master then. That does not
tell how long ago it was; but a job that was there when this master looked is older than the look.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import define, field

from gantry.core.queue.state import NO_JOB
from gantry.protocols.identity import JobId

SENDING_SECONDS: Final = 600.0
"""For how long a repeated submission is recognised (compatibility contract: 10 minutes)."""

LOOK_SECONDS: Final = 10.0
"""So much longer it may be recognised, for few looks to be remembered."""


@define
class Ages:
    """Remembers which job was the last one at some moments of one master's life."""

    _looks: deque[tuple[float, JobId]] = field(factory=deque, init=False)

    def look(self, now: float, last: JobId) -> JobId:
        """Return the last of the jobs that are too old to be what a submission repeats.

        Args:
            now: monotonic, in seconds.
            last: the last job that was given an id.
        """
        looks = self._looks
        if not looks or now - looks[-1][0] >= LOOK_SECONDS:
            looks.append((now, last))
        while len(looks) > 1 and now - looks[1][0] >= SENDING_SECONDS:
            looks.popleft()
        moment, job = looks[0]
        return job if now - moment >= SENDING_SECONDS else NO_JOB
