"""Voters in a bad world, without threads or sockets: the same seed gives the same disaster.

Messages are lost, repeated and late; nodes and their daemons crash and lose what was not flushed;
operators promote whom they like, several at once. After each event the laws of replication are
checked. There is one stream, or there are two, of which the first one says who votes.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import define, evolve, field, frozen

from gantry.core.replication import leader as leading
from gantry.core.replication import replica as following
from gantry.core.replication.leader import Leader, VoterChange, follows
from gantry.core.replication.promotion import Candidacy, next_epoch
from gantry.core.replication.quorum import PROMOTION_SECONDS
from gantry.core.replication.replica import Append, Install, Late, Replica, Stale
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.records import Checksum, Index, Record, encode_record
from gantry.protocols.replication import (
    NOTHING,
    STREAMS,
    AppendAnswer,
    Appended,
    LogEnd,
    Monotonic,
    Promised,
    Stream,
)

TWO = 2
"""Of two voters one may go on alone."""


@frozen
class Request:
    """A leader's message on its way."""

    stream: Stream
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
class Side:
    """What one node has of one stream: its disk, and what it loses in a crash."""

    disk: Replica
    leader: Leader | None = None
    life: int = 0
    unflushed: list[Record] = field(factory=list)
    uncounted: list[Record] = field(factory=list)
    """On the disk, and the leader was not told yet."""
    alone_since: tuple[Epoch, Index] | None = None
    """What is noted on the disk about going on alone."""

    def crash(self) -> None:
        """Lose what is not on the disk."""
        self.leader = None
        self.unflushed, self.uncounted = [], []

    @property
    def settled(self) -> frozenset[NodeUuid] | None:
        """The voters of whom a majority has the log, as far as the leader knows."""
        leader = self.leader
        return None if leader is None or leader.change is not None else leader.voters


@define
class Voter:
    """One node."""

    uuid: NodeUuid
    sides: dict[Stream, Side]
    reign: Epoch
    """The epoch in which it may lead; on the disk."""
    up: bool = True
    candidacy: Candidacy | None = None
    waits_until: float | None = None
    followed: frozenset[NodeUuid] | None = None
    """With whom the second stream has settled, as far as the first one's leader has heard."""

    @property
    def promised(self) -> Epoch:
        """The one promise for all streams."""
        return max(side.disk.promised for side in self.sides.values())

    @property
    def leads(self) -> bool:
        """Whether it leads any stream."""
        return any(side.leader is not None for side in self.sides.values())

    def promise(self, epoch: Epoch) -> None:
        """Follow nobody older, in no stream."""
        for side in self.sides.values():
            side.disk = evolve(side.disk, promised=epoch)

    def stand_down(self) -> None:
        """End the daemons that lead."""
        for side in self.sides.values():
            side.crash()
        self.followed = None


@define
class World:
    """Voters, the network between them, and everything that was ever acknowledged."""

    rng: random.Random
    voters: dict[NodeUuid, Voter]
    streams: tuple[Stream, ...]
    now: float = 100.0
    network: list[Request | Reply] = field(factory=list)
    acknowledged: dict[Stream, dict[Index, Checksum]] = field(init=False)
    acknowledging: dict[Stream, Epoch] = field(init=False)
    parents: dict[Checksum, LogEnd] = field(factory=dict)
    sets: dict[Checksum, frozenset[NodeUuid]] = field(factory=dict)
    """Who votes after the record of the first stream with a checksum."""
    payloads: int = 0
    held_up: set[tuple[Stream, NodeUuid]] = field(factory=set)
    cut: frozenset[NodeUuid] = frozenset()
    """Between these nodes and the others there is no network."""
    changes: bool = False
    fewest: int = 3
    """So many voters are left at least."""
    set_changes: int = 0
    """How many changes of the voters were begun."""

    def __attrs_post_init__(self) -> None:
        self.acknowledged = {stream: {} for stream in self.streams}
        self.acknowledging = dict.fromkeys(self.streams, NOTHING.epoch)

    @classmethod
    def begin(
        cls,
        seed: int,
        count: int,
        *,
        spare: int = 0,
        streams: tuple[Stream, ...] = STREAMS[:1],
        fewest: int | None = None,
    ) -> World:
        """Begin with the first of ``count`` voters leading.

        ``spare`` nodes may be made voters; if ``fewest`` are given, voters are also taken away.
        """
        names = [NodeUuid(f"node{number}") for number in range(count + spare)]
        voters = {
            name: Voter(name, {stream: Side(Replica(Epoch(1))) for stream in streams}, Epoch(0))
            for name in names
        }
        world = cls(random.Random(seed), voters, streams)
        world.sets[NOTHING.checksum] = frozenset(names[:count])
        world.changes = spare > 0 or fewest is not None
        world.fewest = fewest or world.fewest
        world.lead(voters[names[0]], Epoch(1))
        return world

    # --- what may happen -------------------------------------------------------------------------

    def disaster(self) -> None:
        """Let one thing happen."""
        two = len(self.streams) > 1  # they must agree before the voters change: that takes peace
        happenings: list[tuple[int, Callable[[], None]]] = [
            (30, self.submit),
            (60 if two else 30, self.flush),
            (300 if two else 80, self.deliver),
            (8, self.lose),
            (20, self.wait),
            (1 if two else 3, self.crash),
            (8, self.restart),
            (3, self.stand_for_election),
            (30, self.campaign),
            (4, self.fold),
        ]
        if self.fewest < 3:  # what is done alone takes ten seconds, and others' being elected
            happenings += [(4, self.cut_off), (4, self.crash_a_daemon), (10, self.long_wait)]
        if two:
            happenings += [
                (20, self.follow),
                (20, self.tell_followed),
                (1, self.crash_a_daemon),
                (4, self.hold_up),
            ]
        weights = [weight for weight, _ in happenings]
        self.rng.choices([each for _, each in happenings], weights)[0]()
        self.check()

    def submit(self) -> None:
        for voter, stream in self.reigning():
            may_change = stream == "config" and self.rng.random() < 0.5
            self.write(voter, stream, self.next_set(voter) if may_change else None)

    def next_set(self, voter: Voter) -> frozenset[NodeUuid] | None:
        """Return another set of voters that differs by one, if the leader may change it now."""
        side = voter.sides["config"]
        leader = side.leader
        if not self.changes or leader is None or side.settled is None:
            return None
        if side.unflushed or side.uncounted:
            return None
        if leader.first_own is None or leader.committed < leader.first_own:
            return None
        if len(self.streams) > 1 and voter.followed != side.settled:
            return None
        other = self.rng.choice([name for name in sorted(self.voters) if name != voter.uuid])
        changed = leader.voters ^ {other}
        if changed > leader.voters and self.queue_alone(voter):
            return None
        return changed if len(changed) >= self.fewest else None

    def queue_alone(self, voter: Voter) -> bool:
        """Whether the second stream's log may be nowhere else, as is noted on the disk."""
        return len(self.streams) > 1 and voter.sides["queue"].alone_since is not None

    def write(
        self, voter: Voter, stream: Stream, voters: frozenset[NodeUuid] | None = None
    ) -> None:
        side = voter.sides[stream]
        leader = side.leader
        assert leader is not None
        late = (*side.uncounted, *side.unflushed)
        after = late[-1].position if late else leader.end.position
        before = LogEnd(leader.epoch, after.index, after.checksum)
        self.payloads += 1
        _, record = encode_record(after, leader.epoch, self.payloads)
        self.parents[record.checksum] = before
        if stream == "config":
            self.sets[record.checksum] = voters or self.sets[after.checksum]
        self.set_changes += voters is not None
        side.unflushed.append(record)

    def flush(self) -> None:
        for voter, stream in self.reigning():
            side = voter.sides[stream]
            records, side.unflushed = tuple(side.unflushed), []
            leader = side.leader
            if not records or leader is None:
                continue
            kept = side.disk.records
            for record in records:
                kept = kept.set(record.index, record)
            side.disk = evolve(side.disk, records=kept)
            if voter.promised > leader.epoch:
                voter.stand_down()
                continue
            side.uncounted += records
            self.count(voter, stream)

    def count(self, voter: Voter, stream: Stream) -> None:
        """Tell a leader what is on its disk, unless that adds a voter while the queue is alone."""
        side = voter.sides[stream]
        records, leader = tuple(side.uncounted), side.leader
        assert leader is not None
        sets = [self.sets[record.checksum] for record in records if stream == "config"]
        if any(not each <= leader.voters for each in sets) and self.queue_alone(voter):
            return
        side.uncounted = []
        voters = leader.voters
        for record, changed in zip(records, sets, strict=False):
            if changed != voters:
                voters = changed
                self.step(voter, stream, leading.SetVoters(voters, record.index))
        if records:
            self.step(voter, stream, leading.Flushed(records))

    def allow(self, voter: Voter) -> None:
        """Let the first stream's owner look again whether the second one is alone."""
        leader = voter.sides["config"].leader
        if leader is not None and not self.queue_alone(voter):
            if leader.held is not None:
                self.step(voter, "config", leading.Released())
            else:
                self.count(voter, "config")

    # --- what two streams tell each other --------------------------------------------------------

    def follow(self) -> None:
        """Let the second stream hear of the newest set that counts, and go on to it."""
        for voter in self.voters.values():
            if voter.up and all(side.leader is not None for side in voter.sides.values()):
                side = voter.sides["queue"]
                voters = self.sets[voter.sides["config"].disk.committed.checksum]
                leader = side.leader
                if leader is not None and follows(leader, voters | {voter.uuid}):
                    change = leading.SetVoters(voters | {voter.uuid}, leader.end.index)
                    self.step(voter, "queue", change)

    def tell_followed(self) -> None:
        """Let the first stream hear with whom the second one has settled."""
        for voter in self.voters.values():
            if voter.up and all(side.leader is not None for side in voter.sides.values()):
                voter.followed = voter.sides["queue"].settled or voter.followed

    def crash_a_daemon(self) -> None:
        """Let what leads one stream die; the node lives."""
        reigning = list(self.reigning())
        if reigning:
            voter, stream = self.rng.choice(reigning)
            voter.sides[stream].crash()
            if stream == "config":
                voter.followed = None

    def deliver(self) -> None:
        if not self.network:
            return
        number = self.rng.randrange(len(self.network))
        message = self.network[number]
        asked = message.request if isinstance(message, Reply) else message
        if (asked.stream, asked.voter) in self.held_up:
            return
        if self.parted(asked.leader, asked.voter):
            self.network.pop(number)
            self.tell(asked, leading.Lost(asked.voter))
            return
        if self.rng.random() >= 0.1:  # else it is repeated
            self.network.pop(number)
        self.hand_over(message)

    def hold_up(self) -> None:
        """Let the messages of one stream be late to some voters, for a while; others' arrive."""
        stream = self.rng.choice(self.streams)
        some = self.rng.sample(sorted(self.voters), self.rng.randrange(len(self.voters)))
        self.held_up = {(stream, voter) for voter in some}

    def cut_off(self) -> None:
        """Part some nodes from the others, or end that."""
        some = self.rng.sample(sorted(self.voters), self.rng.randrange(len(self.voters)))
        self.cut = frozenset(some)

    def parted(self, one: NodeUuid, other: NodeUuid) -> bool:
        """Whether two nodes can not talk."""
        return (one in self.cut) != (other in self.cut)

    def long_wait(self) -> None:
        """Let a leader's patience with a silent voter end."""
        for _ in range(4):
            self.wait(4.0)

    def lose(self) -> None:
        if self.network:
            message = self.network.pop(self.rng.randrange(len(self.network)))
            request = message.request if isinstance(message, Reply) else message
            self.tell(request, leading.Lost(request.voter))

    def wait(self, seconds: float | None = None) -> None:
        self.now += self.rng.choice([0.01, 0.3, 1.0, 4.0]) if seconds is None else seconds
        for voter, stream in self.reigning():
            self.step(voter, stream, leading.Tick())
        for voter in self.voters.values():
            if voter.up:
                self.allow(voter)

    def crash(self) -> None:
        voter = self.rng.choice(list(self.voters.values()))
        voter.up = False
        voter.stand_down()
        voter.candidacy = voter.waits_until = None

    def restart(self) -> None:
        for voter in self.voters.values():
            is_half = voter.leads and not all(side.leader for side in voter.sides.values())
            if not voter.up or is_half:
                voter.up = True
                if voter.reign == voter.promised:
                    self.lead(voter, voter.reign)
                return

    def fold(self) -> None:
        voter = self.rng.choice(list(self.voters.values()))
        for stream, side in voter.sides.items():
            through = side.disk.committed.index
            if voter.up and through > side.disk.base.index:
                side.disk = following.folded(side.disk, through)
                self.step(voter, stream, leading.Compacted(through))

    # --- promotion -------------------------------------------------------------------------------

    def voters_after(self, voter: Voter) -> frozenset[NodeUuid]:
        """Return who votes as the end of a node's log has it, counting or not."""
        return self.sets[voter.sides["config"].disk.end.checksum]

    def change_of(self, voter: Voter) -> VoterChange | None:
        """Return the last change of the voters that may not count, as its log has it."""
        disk, found = voter.sides["config"].disk, None
        before = self.sets[disk.base.checksum]
        for record in disk.after(disk.base.index):
            after = self.sets[record.checksum]
            if after != before:
                found = VoterChange(record.index, before)
            before = after
        return found

    def stand_for_election(self) -> None:
        voter = self.rng.choice(list(self.voters.values()))
        if voter.up and not voter.leads and voter.candidacy is None:
            epoch = next_epoch([voter.promised])
            voters = self.voters_after(voter)
            if voter.uuid in voters:
                change = self.change_of(voter)
                old = None if change is None else change.old
                voter.candidacy = Candidacy(voter.uuid, epoch, voters, old)

    def campaign(self) -> None:
        candidates = [each for each in self.voters.values() if each.up and each.candidacy]
        if not candidates:
            return
        voter = self.rng.choice(candidates)
        candidacy = voter.candidacy
        assert candidacy is not None
        if not candidacy.elected:
            self.ask_for_promise(voter, candidacy)
        elif voter.promised > candidacy.epoch or (voter.reign >= candidacy.epoch):
            voter.candidacy = voter.waits_until = None
        elif voter.waits_until is None:
            voter.waits_until = self.now + PROMOTION_SECONDS
        elif self.now > voter.waits_until:
            self.take_over(voter, candidacy)

    def ask_for_promise(self, voter: Voter, candidacy: Candidacy) -> None:
        other = self.voters[self.rng.choice(sorted(candidacy.electorate))]
        if not other.up or self.parted(voter.uuid, other.uuid):
            return
        if isinstance(following.promise(other.sides["config"].disk, candidacy.epoch), Stale):
            if other.uuid not in candidacy.promises:
                voter.candidacy = None
            return
        other.promise(candidacy.epoch)
        ends = {stream: side.disk.end for stream, side in other.sides.items()}
        promised = Promised(candidacy.epoch, ends["config"], ends.get("queue", NOTHING))
        voter.candidacy = candidacy.with_promise(other.uuid, promised)

    def take_over(self, voter: Voter, candidacy: Candidacy) -> None:
        for stream in self.streams:
            if not self.take_log(voter, stream, candidacy):
                return
        voters, change = self.voters_after(voter), self.change_of(voter)
        if voter.uuid not in voters:  # as the log that it took says
            voter.candidacy = voter.waits_until = None
            return
        old = None if change is None else change.old
        if (voters, old) != (candidacy.voters, candidacy.old):
            voter.candidacy = evolve(candidacy, voters=voters, old=old)
            if not voter.candidacy.elected:
                return
        voter.candidacy = voter.waits_until = None
        voter.reign = candidacy.epoch
        self.lead(voter, candidacy.epoch)

    def take_log(self, voter: Voter, stream: Stream, candidacy: Candidacy) -> bool:
        """Go on with the most advanced log of a stream, or say that it can not be had."""
        source = candidacy.source(stream)
        assert source is not None
        best = self.voters[source]
        if not best.up or self.parted(voter.uuid, source):
            return False
        if source != voter.uuid:
            disk = best.sides[stream].disk
            if disk.end != candidacy.promises[source].end(stream):
                voter.candidacy = voter.waits_until = None  # it follows somebody else by now
                return False
            voter.sides[stream].disk = evolve(disk, promised=voter.promised)
        return True

    # --- leading ---------------------------------------------------------------------------------

    def reigning(self) -> list[tuple[Voter, Stream]]:
        """Return who leads which stream."""
        return [
            (voter, stream)
            for voter in self.voters.values()
            for stream, side in voter.sides.items()
            if voter.up and side.leader is not None
        ]

    def lead(self, voter: Voter, epoch: Epoch) -> None:
        """Start what does not run yet of the daemons that lead."""
        voter.reign = epoch
        for stream, side in voter.sides.items():
            if side.leader is not None:
                continue
            disk, now = side.disk, Monotonic(self.now)
            voters = self.voters_after(voter) | {voter.uuid}
            side.life += 1
            records = disk.after(disk.base.index)
            leader = Leader.begin(voter.uuid, epoch, voters, disk.base, records, now)
            change = self.change_of(voter)
            if change is not None and stream == "config":
                held = None if voters <= change.old else change.index
                leader = evolve(leader.amid(change), held=held)
            elif change is not None:
                leader = leader.amid(VoterChange(None, change.old))
            if side.alone_since is not None and side.alone_since[0] == epoch:
                leader = evolve(leader, solo_noted=side.alone_since[1])
            else:
                side.alone_since = None
            side.leader = leader
            self.step(voter, stream, leading.Tick())
            if disk.end.epoch != epoch:
                self.write(voter, stream)

    def step(self, voter: Voter, stream: Stream, event: leading.Event) -> None:
        side = voter.sides[stream]
        if side.leader is None:
            return
        side.leader, effects = leading.step(side.leader, event, Monotonic(self.now))
        alone_since: Index | None = None
        for effect in effects:
            match effect:
                case leading.Send(to, previous, records, committed):
                    content = Append(side.leader.epoch, previous, records, committed)
                    self.send(voter, stream, to, content)
                case leading.SendSnapshot(to):
                    end = self.committed_end(side.leader)
                    self.send(voter, stream, to, Install(side.leader.epoch, end))
                case leading.Commit(through):
                    self.acknowledge(voter, stream, through)
                case leading.StandDown():
                    voter.stand_down()
                    return
                case leading.GoSolo(since):
                    alone_since = self.noted(voter, side, since)
                case leading.EndSolo():
                    side.alone_since = None
        if alone_since is not None:
            self.step(voter, stream, leading.SoloStored(alone_since))

    def noted(self, voter: Voter, side: Side, since: Index) -> Index | None:
        """Note that a leader goes on alone, and return since when; ``None``: it may not."""
        leader = side.leader
        assert leader is not None
        assert len(leader.voters) <= TWO, "three and more never go on alone"
        side.alone_since = leader.epoch, since
        # The second stream's owner looks whether there are more voters by now.
        if self.voters_after(voter) <= leader.electorate:
            return since
        if leader.lacking_since is None:
            side.alone_since = None
        return None

    def committed_end(self, leader: Leader) -> LogEnd:
        """Return the end of what the leader's snapshot would hold."""
        record = leader.records.get(leader.committed)
        if record is None:
            return leader.base
        return LogEnd(record.epoch, record.index, record.checksum)

    def send(self, voter: Voter, stream: Stream, to: NodeUuid, content: Append | Install) -> None:
        life, sent = voter.sides[stream].life, Monotonic(self.now)
        self.network.append(Request(stream, voter.uuid, life, to, content, sent))

    def tell(self, request: Request, event: leading.Event) -> None:
        voter = self.voters[request.leader]
        if voter.up and voter.sides[request.stream].life == request.reign:
            self.step(voter, request.stream, event)

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
        received = self.receive(voter, message.stream, message.content)
        if isinstance(received, Late):
            self.tell(message, leading.Lost(message.voter))
        else:
            self.network.append(Reply(message, received))

    def receive(
        self, voter: Voter, stream: Stream, content: Append | Install
    ) -> AppendAnswer | Stale | Late:
        if content.epoch > voter.promised:
            voter.stand_down()
            voter.promise(content.epoch)
        side = voter.sides[stream]
        if side.leader is not None and content.epoch > side.leader.epoch:
            voter.stand_down()
        if isinstance(content, Append):
            taken = following.append(side.disk, content)
            if isinstance(taken, Stale):
                return taken
            side.disk, _, answer = taken
            return answer
        installed = following.install(side.disk, content)
        if isinstance(installed, Stale | Late):
            return installed
        side.disk, _ = installed
        return Appended(content.end.position)

    # --- laws ------------------------------------------------------------------------------------

    def history(self, end: LogEnd) -> dict[Index, Checksum]:
        """Return all records that lead to a place."""
        found: dict[Index, Checksum] = {}
        while end.index:
            found[end.index] = end.checksum
            end = self.parents[end.checksum]
        return found

    def acknowledge(self, voter: Voter, stream: Stream, through: Index) -> None:
        side = voter.sides[stream]
        leader = side.leader
        assert leader is not None
        newest = max(self.acknowledging.values())
        assert leader.epoch >= newest, "two reigns acknowledge at the same time"
        self.acknowledging[stream] = leader.epoch
        mine = self.history(side.disk.end)
        for index in range(1, through + 1):
            known = self.acknowledged[stream].setdefault(Index(index), mine[Index(index)])
            assert known == mine[Index(index)], "two records were committed at one index"
        position = side.disk.at(through)
        if position is not None:
            side.disk = evolve(side.disk, committed=position)

    def check(self) -> None:
        for voter in self.voters.values():
            for stream, side in voter.sides.items():
                place, acknowledged = side.disk.committed, self.acknowledged[stream]
                if place.index:
                    assert acknowledged.get(place.index) == place.checksum, "seen too early"
                if side.leader is not None and side.leader.epoch > self.acknowledging[stream]:
                    mine = self.history(side.disk.end)
                    for index, checksum in acknowledged.items():
                        assert mine.get(index) == checksum, "an acknowledged record is lost"

    # --- the end ---------------------------------------------------------------------------------

    def heal(self) -> None:
        """End all failures, and promote somebody if nobody leads."""
        self.cut = frozenset()
        for voter in self.voters.values():
            voter.up, voter.candidacy, voter.waits_until = True, None, None
            if voter.leads and voter.reign == voter.promised:
                self.lead(voter, voter.reign)
        for _ in range(30):
            self.settle()
            if self.newest_leader() is not None:
                return
            for voter in self.voters.values():
                if not voter.leads and voter.uuid in self.voters_after(voter):
                    self.promote(voter)
                    if voter.leads:
                        break

    def promote(self, voter: Voter) -> None:
        epoch = next_epoch(each.promised for each in self.voters.values())
        change = self.change_of(voter)
        old = None if change is None else change.old
        voter.candidacy = Candidacy(voter.uuid, epoch, self.voters_after(voter), old)
        for _ in range(400):
            self.campaign()
            self.now += 1.0
            if voter.leads:
                return
        voter.candidacy = None

    def newest_leader(self) -> Voter | None:
        """Return the leader whom a majority follows in all streams, if there is one."""
        for voter in self.voters.values():
            leaders = [side.leader for side in voter.sides.values()]
            if all(
                leader is not None and leader.committed == leader.end.index and leader.has_lease
                for leader in leaders
            ):
                return voter
        return None

    def settle(self) -> None:
        for _ in range(60):
            while self.network:
                self.hand_over(self.network.pop(0))
            self.flush()
            if len(self.streams) > 1:
                self.follow()
            self.wait(1.0)
            self.check()
