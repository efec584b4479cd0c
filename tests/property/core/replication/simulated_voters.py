"""Voters in a bad world, without threads or sockets: the same seed gives the same disaster.

Messages are lost, repeated and late; nodes crash and lose what was not flushed; operators promote
whom they like, several at once. After each event the laws of replication are checked.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import define, evolve, field, frozen

from gantry.core.replication import leader as leading
from gantry.core.replication import replica as following
from gantry.core.replication.leader import Leader
from gantry.core.replication.promotion import Candidacy, next_epoch
from gantry.core.replication.quorum import PROMOTION_SECONDS
from gantry.core.replication.replica import Append, Install, Replica, Stale
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.records import Checksum, Index, Record, encode_record
from gantry.protocols.replication import (
    NOTHING,
    AppendAnswer,
    Appended,
    LogEnd,
    Monotonic,
    Promised,
)

TWO = 2
"""Of two voters one may go on alone."""


@frozen
class Request:
    """A leader's message on its way."""

    leader: NodeUuid
    reign: int
    """Which life of the leader sent it; answers to earlier lives reach nobody."""
    voter: NodeUuid
    content: Append | Install
    sent: Monotonic


@frozen
class Reply:
    """A voter's answer on its way."""

    request: Request
    answer: AppendAnswer | Stale


@define
class Voter:
    """One node: its disk, and what it loses in a crash."""

    uuid: NodeUuid
    disk: Replica
    reign: Epoch
    """The epoch in which it may lead; on the disk."""
    up: bool = True
    leader: Leader | None = None
    life: int = 0
    unflushed: list[Record] = field(factory=list)
    candidacy: Candidacy | None = None
    waits_until: float | None = None


@define
class World:
    """Voters, the network between them, and everything that was ever acknowledged."""

    rng: random.Random
    voters: dict[NodeUuid, Voter]
    now: float = 100.0
    network: list[Request | Reply] = field(factory=list)
    acknowledged: dict[Index, Checksum] = field(factory=dict)
    acknowledging: Epoch = NOTHING.epoch
    parents: dict[Checksum, LogEnd] = field(factory=dict)
    sets: dict[Checksum, frozenset[NodeUuid]] = field(factory=dict)
    """Who votes after the record with a checksum."""
    payloads: int = 0
    changes: bool = False

    @classmethod
    def begin(cls, seed: int, count: int, *, spare: int = 0) -> World:
        """Begin with the first of ``count`` voters leading; ``spare`` nodes may be made voters."""
        names = [NodeUuid(f"node{number}") for number in range(count + spare)]
        voters = {name: Voter(name, Replica(Epoch(1)), Epoch(0)) for name in names}
        world = cls(random.Random(seed), voters)
        world.sets[NOTHING.checksum] = frozenset(names[:count])
        world.changes = spare > 0
        world.lead(voters[names[0]], Epoch(1))
        return world

    # --- what may happen -------------------------------------------------------------------------

    def disaster(self) -> None:
        """Let one thing happen."""
        happenings: list[tuple[int, Callable[[], None]]] = [
            (30, self.submit),
            (30, self.flush),
            (80, self.deliver),
            (8, self.lose),
            (20, self.wait),
            (3, self.crash),
            (8, self.restart),
            (3, self.stand_for_election),
            (30, self.campaign),
            (4, self.fold),
        ]
        weights = [weight for weight, _ in happenings]
        self.rng.choices([each for _, each in happenings], weights)[0]()
        self.check()

    def submit(self) -> None:
        for voter in self.leaders():
            self.write(voter, self.next_set(voter) if self.rng.random() < 0.2 else None)

    def next_set(self, voter: Voter) -> frozenset[NodeUuid] | None:
        """Return another set of voters that differs by one, if the leader may change it now."""
        leader = voter.leader
        if not self.changes or leader is None or leader.change is not None or voter.unflushed:
            return None
        if leader.first_own is None or leader.committed < leader.first_own:
            return None
        other = self.rng.choice([name for name in sorted(self.voters) if name != voter.uuid])
        changed = leader.voters ^ {other}
        return changed if len(changed) >= 3 else None

    def write(self, voter: Voter, voters: frozenset[NodeUuid] | None = None) -> None:
        leader = voter.leader
        assert leader is not None
        after = voter.unflushed[-1].position if voter.unflushed else leader.end.position
        before = LogEnd(leader.epoch, after.index, after.checksum)
        self.payloads += 1
        _, record = encode_record(after, leader.epoch, self.payloads)
        self.parents[record.checksum] = before
        self.sets[record.checksum] = voters or self.sets[after.checksum]
        voter.unflushed.append(record)

    def flush(self) -> None:
        for voter in self.leaders():
            records, voter.unflushed = tuple(voter.unflushed), []
            leader = voter.leader
            if not records or leader is None:
                continue
            kept = voter.disk.records
            for record in records:
                kept = kept.set(record.index, record)
            voter.disk = evolve(voter.disk, records=kept)
            if voter.disk.promised > leader.epoch:
                self.stand_down(voter)
                continue
            voters = leader.voters
            for record in records:
                if self.sets[record.checksum] != voters:
                    voters = self.sets[record.checksum]
                    self.step(voter, leading.SetVoters(voters, record.index))
            self.step(voter, leading.Flushed(records))

    def deliver(self) -> None:
        if not self.network:
            return
        number = self.rng.randrange(len(self.network))
        repeated = self.rng.random() < 0.1
        message = self.network[number] if repeated else self.network.pop(number)
        self.hand_over(message)

    def lose(self) -> None:
        if self.network:
            message = self.network.pop(self.rng.randrange(len(self.network)))
            request = message.request if isinstance(message, Reply) else message
            self.tell(request, leading.Lost(request.voter))

    def wait(self, seconds: float | None = None) -> None:
        self.now += self.rng.choice([0.01, 0.3, 1.0, 4.0]) if seconds is None else seconds
        for voter in self.leaders():
            self.step(voter, leading.Tick())

    def crash(self) -> None:
        voter = self.rng.choice(list(self.voters.values()))
        voter.up = False
        self.stand_down(voter)
        voter.candidacy = voter.waits_until = None

    def restart(self) -> None:
        for voter in self.voters.values():
            if not voter.up:
                voter.up = True
                if voter.reign == voter.disk.promised:
                    self.lead(voter, voter.reign)
                return

    def fold(self) -> None:
        voter = self.rng.choice(list(self.voters.values()))
        through = voter.disk.committed.index
        if voter.up and through > voter.disk.base.index:
            voter.disk = following.folded(voter.disk, through)
            if voter.leader is not None:
                self.step(voter, leading.Compacted(through))

    # --- promotion -------------------------------------------------------------------------------

    def stand_for_election(self) -> None:
        voter = self.rng.choice(list(self.voters.values()))
        if voter.up and voter.leader is None and voter.candidacy is None:
            epoch = next_epoch(each.disk.promised for each in [voter])
            voters = self.sets[voter.disk.end.checksum]
            if voter.uuid in voters:
                voter.candidacy = Candidacy(voter.uuid, epoch, voters)

    def campaign(self) -> None:
        candidates = [each for each in self.voters.values() if each.up and each.candidacy]
        if not candidates:
            return
        voter = self.rng.choice(candidates)
        candidacy = voter.candidacy
        assert candidacy is not None
        if not candidacy.elected:
            self.ask_for_promise(voter, candidacy)
        elif voter.disk.promised > candidacy.epoch or (voter.reign >= candidacy.epoch):
            voter.candidacy = voter.waits_until = None
        elif voter.waits_until is None:
            voter.waits_until = self.now + PROMOTION_SECONDS
        elif self.now > voter.waits_until:
            self.take_over(voter, candidacy)

    def ask_for_promise(self, voter: Voter, candidacy: Candidacy) -> None:
        other = self.voters[self.rng.choice(sorted(candidacy.voters))]
        if not other.up:
            return
        given = following.promise(other.disk, candidacy.epoch)
        if isinstance(given, Stale):
            if other.uuid not in candidacy.promises:
                voter.candidacy = None
            return
        other.disk, _ = given
        promised = Promised(candidacy.epoch, other.disk.end, NOTHING)
        voter.candidacy = candidacy.with_promise(other.uuid, promised)

    def take_over(self, voter: Voter, candidacy: Candidacy) -> None:
        source = candidacy.source("config")
        assert source is not None
        best = self.voters[source]
        if not best.up:
            return
        if source != voter.uuid:
            if best.disk.end != candidacy.promises[source].config:
                voter.candidacy = voter.waits_until = None  # it follows somebody else by now
                return
            voter.disk = evolve(best.disk, promised=voter.disk.promised)
        voters = self.sets[voter.disk.end.checksum]
        if voters != candidacy.voters:
            voter.candidacy = evolve(candidacy, voters=voters)
            if not voter.candidacy.elected:
                return
        voter.candidacy = voter.waits_until = None
        voter.reign = candidacy.epoch
        self.lead(voter, candidacy.epoch)

    # --- leading ---------------------------------------------------------------------------------

    def leaders(self) -> list[Voter]:
        return [each for each in self.voters.values() if each.up and each.leader is not None]

    def lead(self, voter: Voter, epoch: Epoch) -> None:
        voter.reign = epoch
        disk, now = voter.disk, Monotonic(self.now)
        voters = self.sets[disk.end.checksum]
        voter.life += 1
        records = disk.after(disk.base.index)
        voter.leader = Leader.begin(voter.uuid, epoch, voters, disk.base, records, now)
        if disk.end.epoch != epoch:
            self.write(voter)

    def stand_down(self, voter: Voter) -> None:
        voter.leader = None
        voter.unflushed = []

    def step(self, voter: Voter, event: leading.Event) -> None:
        if voter.leader is None:
            return
        voter.leader, effects = leading.step(voter.leader, event, Monotonic(self.now))
        alone_since: Index | None = None
        for effect in effects:
            match effect:
                case leading.Send(to, previous, records, committed):
                    content = Append(voter.leader.epoch, previous, records, committed)
                    self.send(voter, to, content)
                case leading.SendSnapshot(to):
                    self.send(voter, to, Install(voter.leader.epoch, self.committed_end(voter)))
                case leading.Commit(through):
                    self.acknowledge(voter, through)
                case leading.StandDown():
                    self.stand_down(voter)
                    return
                case leading.GoSolo(since):
                    assert len(self.voters) == TWO, "three and more voters never go on alone"
                    alone_since = since
                case leading.EndSolo():
                    pass
        if alone_since is not None:
            self.step(voter, leading.SoloStored(alone_since))

    def committed_end(self, voter: Voter) -> LogEnd:
        """Return the end of what the leader's snapshot would hold."""
        leader = voter.leader
        assert leader is not None
        record = leader.records.get(leader.committed)
        if record is None:
            return leader.base
        return LogEnd(record.epoch, record.index, record.checksum)

    def send(self, voter: Voter, to: NodeUuid, content: Append | Install) -> None:
        self.network.append(Request(voter.uuid, voter.life, to, content, Monotonic(self.now)))

    def tell(self, request: Request, event: leading.Event) -> None:
        voter = self.voters[request.leader]
        if voter.up and voter.life == request.reign:
            self.step(voter, event)

    def hand_over(self, message: Request | Reply) -> None:
        if isinstance(message, Reply):
            request = message.request
            match message.answer:
                case Stale(newest):
                    self.tell(request, leading.Refused(request.voter, newest))
                case answer:
                    self.tell(request, leading.Answered(request.voter, request.sent, answer))
            return
        voter = self.voters[message.voter]
        if not voter.up:
            self.tell(message, leading.Lost(message.voter))
            return
        answer = self.receive(voter, message.content)
        self.network.append(Reply(message, answer))

    def receive(self, voter: Voter, content: Append | Install) -> AppendAnswer | Stale:
        if voter.leader is not None and content.epoch > voter.leader.epoch:
            self.stand_down(voter)
        if isinstance(content, Append):
            taken = following.append(voter.disk, content)
            if isinstance(taken, Stale):
                return taken
            voter.disk, _, answer = taken
            return answer
        installed = following.install(voter.disk, content)
        if isinstance(installed, Stale):
            return installed
        voter.disk, _ = installed
        return Appended(content.end.position)

    # --- laws ------------------------------------------------------------------------------------

    def history(self, end: LogEnd) -> dict[Index, Checksum]:
        """Return all records that lead to a place."""
        found: dict[Index, Checksum] = {}
        while end.index:
            found[end.index] = end.checksum
            end = self.parents[end.checksum]
        return found

    def acknowledge(self, voter: Voter, through: Index) -> None:
        leader = voter.leader
        assert leader is not None
        assert leader.epoch >= self.acknowledging, "two reigns acknowledge at the same time"
        self.acknowledging = leader.epoch
        mine = self.history(voter.disk.end)
        for index in range(1, through + 1):
            known = self.acknowledged.setdefault(Index(index), mine[Index(index)])
            assert known == mine[Index(index)], "two records were committed at one index"
        position = voter.disk.at(through)
        if position is not None:
            voter.disk = evolve(voter.disk, committed=position)

    def check(self) -> None:
        for voter in self.voters.values():
            place = voter.disk.committed
            if place.index:
                assert self.acknowledged.get(place.index) == place.checksum, "seen too early"
            if voter.leader is not None and voter.leader.epoch > self.acknowledging:
                mine = self.history(voter.disk.end)
                for index, checksum in self.acknowledged.items():
                    assert mine.get(index) == checksum, "an acknowledged record is lost"

    # --- the end ---------------------------------------------------------------------------------

    def heal(self) -> None:
        """End all failures, and promote somebody if nobody leads."""
        for voter in self.voters.values():
            voter.up, voter.candidacy, voter.waits_until = True, None, None
        for _ in range(30):
            self.settle()
            if self.newest_leader() is not None:
                return
            for voter in self.voters.values():
                if voter.leader is None and voter.uuid in self.sets[voter.disk.end.checksum]:
                    self.promote(voter)
                    if voter.leader is not None:
                        break

    def promote(self, voter: Voter) -> None:
        epoch = next_epoch(each.disk.promised for each in self.voters.values())
        voter.candidacy = Candidacy(voter.uuid, epoch, self.sets[voter.disk.end.checksum])
        for _ in range(400):
            self.campaign()
            self.now += 1.0
            if voter.leader is not None:
                return
        voter.candidacy = None

    def newest_leader(self) -> Voter | None:
        """Return the leader whom a majority follows, if there is one."""
        for voter in self.leaders():
            leader = voter.leader
            if leader is not None and leader.committed == leader.end.index and leader.has_lease:
                return voter
        return None

    def settle(self) -> None:
        for _ in range(60):
            while self.network:
                self.hand_over(self.network.pop(0))
            self.flush()
            self.wait(1.0)
            self.check()
