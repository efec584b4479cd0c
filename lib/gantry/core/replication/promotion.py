"""Becoming the leader of a new epoch: promises, and whose logs to go on with.

A voter that has promised an epoch takes nothing from older leaders. Any record that counts is
held by a majority, a majority has promised, and two majorities share a voter: so the most
advanced log among those who promised holds every record that counts.

That is so for two sets that differ by one voter, too, but not where one of two, or one alone, needs
nobody else: so a candidate whose newest set may not count yet needs a majority of the one before it
as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import evolve, field, frozen
from immutables import Map

from gantry.core.replication.quorum import is_majority
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.replication import Promised, Stream


@frozen
class Candidacy:
    """A voter that wants to lead."""

    me: NodeUuid
    epoch: Epoch
    voters: frozenset[NodeUuid]
    """The newest set, as its log has it."""
    old: frozenset[NodeUuid] | None = None
    """Who voted before, if the newest set may not count yet."""
    promises: Map[NodeUuid, Promised] = field(factory=Map)

    def with_promise(self, voter: NodeUuid, promised: Promised) -> Candidacy:
        """Count an answer; one for another epoch counts for nothing."""
        if promised.epoch != self.epoch:
            return self
        return evolve(self, promises=self.promises.set(voter, promised))

    @property
    def elected(self) -> bool:
        """Whether a majority has promised, so that the old leader can commit nothing more."""
        return has_majority(self.promises.keys(), self.voters, self.old)

    @property
    def electorate(self) -> frozenset[NodeUuid]:
        """Everybody who is asked."""
        return self.voters | (self.old or frozenset())

    @property
    def missing(self) -> frozenset[NodeUuid]:
        """The voters that have not promised: what only they hold may be lost without a majority."""
        return self.electorate - frozenset(self.promises)

    def source(self, stream: Stream) -> NodeUuid | None:
        """Return whose log to go on with: the most advanced one, our own if it is as good."""
        if not self.promises:
            return None
        return max(
            self.promises,
            key=lambda voter: (
                self.promises[voter].end(stream).rank,
                voter == self.me,
                voter,
            ),
        )


def has_majority(
    nodes: Collection[NodeUuid], voters: frozenset[NodeUuid], old: frozenset[NodeUuid] | None
) -> bool:
    """Whether nodes are a majority of the voters, and of those before if there are any."""
    sets = [voters] if old is None else [voters, old]
    return all(is_majority(nodes, each) for each in sets)


def next_epoch(known: Iterable[Epoch]) -> Epoch:
    """Return the epoch to ask promises for, above all that were heard of."""
    return Epoch(max(known, default=Epoch(0)) + 1)
