"""The voters change one at a time, in both streams.

A promotion asks a majority of the configuration's voters for both logs. That finds every record
of the queue as long as the two streams' sets differ by one voter at most: so the configuration
goes on to the next set only when the queue has settled on the last one, of which LuxiD tells.
"""

from __future__ import annotations

from typing import Final

import trio
from attrs import define, field

from gantry.core.config.state import State
from gantry.core.config.transaction import Transacted
from gantry.core.replication.quorum import voters_of
from gantry.protocols.identity import NodeUuid
from gantry.protocols.wconfd import Invariant, Refused
from gantry.runtime.replicated_log import ReplicatedLog

PATIENCE_SECONDS: Final = 30.0
"""A set that is not settled after this time may not be soon: the caller is told."""

RULE: Final = "the voters change one at a time"

QUEUE_ALONE: Final = Refused(
    Invariant(
        RULE,
        "cluster",
        "master candidates",
        "the master goes on alone, and the silent candidate lacks some of the job queue; bring "
        "it back, or mark it offline, before another one is added",
    )
)
"""Of two voters only one has all of the queue: of three the two others could do without it."""


@define
class VoterChanges:
    """Knows when the next change of the voters may come."""

    _queue: frozenset[NodeUuid] | None = field(default=None, init=False)
    """With whom the queue's stream has settled, as far as LuxiD has said."""
    _news: trio.Event = field(factory=trio.Event, init=False)

    def wake(self) -> None:
        """Look again: something has changed."""
        self._news.set()
        self._news = trio.Event()

    def follow(self, voters: frozenset[NodeUuid]) -> None:
        """Hear with whom the queue's stream has settled."""
        self._queue = voters
        self.wake()

    def may_change(self, log: ReplicatedLog) -> bool:
        """Whether both streams have settled on the newest set."""
        return log.settled_voters is not None and log.settled_voters == self._queue

    async def settled(self, log: ReplicatedLog) -> Refused | None:
        """Wait until the voters may change, or say after some time that they may not."""
        with trio.move_on_after(PATIENCE_SECONDS):
            while not self.may_change(log):
                await self._news.wait()
        return None if self.may_change(log) else self._unsettled(log)

    def _unsettled(self, log: ReplicatedLog) -> Refused:
        if log.settled_voters is None:
            text = "the last change of the master candidates is not committed yet; try again"
        else:
            text = (
                "the job queue has not followed the last change of the master candidates yet; "
                "see whether LuxiD runs, and try again"
            )
        return Refused(Invariant(RULE, "cluster", "master candidates", text))


def new_voters(state: State, made: Transacted) -> frozenset[NodeUuid] | Refused | None:
    """Return who votes after a change, if that differs from who does before it."""
    if not any(each.of in ("node", "cluster") for each in made.record.objects):
        return None
    before, after = (voters_of(each.configuration) for each in (state, made.state))
    if len(before ^ after) > 1:
        text = "this would change several of them; change one node after the other"
        return Refused(Invariant(RULE, "cluster", "master candidates", text))
    return None if before == after else after
