"""One attempt to make this node the master: promises, the end of the old reign, the logs.

See ``doc/design/replication.md``, "Promotion".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import Final, NoReturn, TypeVar

import trio
from attrs import define, evolve, field

from gantry.core.replication.promotion import Candidacy, has_majority, next_epoch
from gantry.core.replication.quorum import PROMOTION_SECONDS, voters_of
from gantry.protocols.errors import ConnectionLost, GantryError, ServiceError, StaleEpoch
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.objects.node import Node
from gantry.protocols.records import Index, Position, Record
from gantry.protocols.replication import (
    RECORDS_PER_MESSAGE,
    STREAMS,
    AppendAnswer,
    Mismatch,
    ReplicaCopy,
    Replicas,
    Stream,
)
from gantry.runtime.allegiance import read_allegiance
from gantry.runtime.commit_mark import CONFIG_MARK, read_mark
from gantry.runtime.environment import Environment
from gantry.runtime.newest_configuration import Newest, newest_of
from gantry.runtime.node_links import NodeLinks

T = TypeVar("T")

ASK_SECONDS_MAX: Final = 6.0
"""A NodeD that takes longer to answer a question counts as down."""

FIRST_ASK_SECONDS_MAX: Final = 2.0
"""A node that takes longer to answer the first question is asked again only if it is needed."""

STOP_SECONDS_MAX: Final = 60.0
COPY_SECONDS_MAX: Final = 120.0
START_SECONDS_MAX: Final = 120.0

EPOCHS_TRIED_MAX: Final = 5
"""Somebody else who is promoted at the same time takes epochs too."""

Say = Callable[[str], None]


class PromotionRefused(ValueError):
    """This node can not become the master; the text says why and what to do."""


class NotYet(PromotionRefused):
    """What is in the way may be gone in a moment."""


@define
class Promotion:
    """One attempt to make this node the master."""

    _env: Environment
    _links: NodeLinks
    _say: Say
    _newest: Newest
    """The configuration, as the log to go on with has it."""
    me: NodeUuid
    forced: bool
    """Go on without a majority."""
    begun: Epoch | None = None
    """The newest epoch that somebody may have promised to this node, in this attempt or one before:
    the old reign may be over, and nobody leads until a promotion comes to its end."""
    _promised_at: float = field(default=0.0, init=False)
    """When a majority had promised: from then on no lease of the old master is prolonged."""
    _epochs: list[Epoch] = field(factory=list, init=False)
    """Those that were heard of."""
    _silent: set[NodeUuid] = field(factory=set, init=False)
    """Nodes that did not answer: they are left alone unless there is no majority without them."""
    _refusing: set[NodeUuid] = field(factory=set, init=False)
    """Those among them that said that they could not."""

    async def run(self) -> None:
        """Become the master; returns when this node leads.

        Raises:
            PromotionRefused: it does not lead; the text says what to do. With :attr:`begun` set
                it may be that nobody does.
        """
        old_master = self._newest.configuration.cluster.master_node
        candidacy = await self._gather_promises()
        await self._end_old_reign(old_master, candidacy.epoch)
        for stream in STREAMS:
            await self._take(stream, candidacy)
        await self._read_taken()
        voters, old = self._voters()
        if (voters, old) != (candidacy.voters, candidacy.old):
            candidacy = evolve(candidacy, voters=voters, old=old)
            candidacy = await self._ask_promises(candidacy, candidacy.missing, ASK_SECONDS_MAX)
        self._require(candidacy)
        await self._tell(candidacy.epoch)
        only = None
        if not candidacy.elected:
            only = tuple(sorted(candidacy.promises))
            self._warn(candidacy)
        await self._ask(
            self._node(self.me),
            lambda replicas: replicas.start_master(candidacy.epoch, only),
            START_SECONDS_MAX,
        )

    async def is_over(self, epoch: Epoch) -> bool:
        """Whether some voter knows that a reign is over of which this node knows no end.

        An old master may have been away for so long that it never heard; and where a promotion
        was broken off, nobody leads until the command is given again, maybe here.

        Raises:
            NotYet: too few voters answer to know.
        """
        voters, old = self._voters()
        everybody = voters | (old or frozenset())
        states = await self._ask_all(
            everybody, lambda r: r.replica_state("config"), FIRST_ASK_SECONDS_MAX
        )
        if any(state.promised > epoch for state in states.values()):
            return True
        if not has_majority(states.keys(), voters, old):
            self._refuse(states.keys(), everybody)
        return False

    def _node(self, uuid: NodeUuid) -> Node:
        return self._newest.configuration.nodes[uuid]

    def _names(self, uuids: Iterable[NodeUuid]) -> str:
        known = self._newest.configuration.nodes
        return ", ".join(sorted(known[u].name if u in known else str(u) for u in uuids))

    # --- promises --------------------------------------------------------------------------------

    def _voters(self) -> tuple[frozenset[NodeUuid], frozenset[NodeUuid] | None]:
        """Return who votes, and who did before if that may be uncommitted."""
        change = self._newest.change
        return voters_of(self._newest.configuration), None if change is None else change.old

    async def _gather_promises(self) -> Candidacy:
        voters, old = self._voters()
        self._epochs.append(await self._promised())
        await self._look_for_majority(voters, old)
        if self.begun is not None and max(self._epochs) > self.begun:
            # Two who try again and again would take each other's promises.
            raise PromotionRefused(
                "somebody else was told to lead meanwhile; if nobody does, give the command again"
            )
        for _ in range(EPOCHS_TRIED_MAX):
            asked = Candidacy(self.me, next_epoch(self._epochs), voters, old)
            candidacy = await self._ask_promises(asked, [self.me], FIRST_ASK_SECONDS_MAX)
            if self.me in candidacy.promises:  # else others would have promised for nothing
                self.begun = asked.epoch
                candidacy = await self._ask_promises(
                    candidacy, candidacy.missing, FIRST_ASK_SECONDS_MAX
                )
            if self.me in self._silent:
                if self.me not in self._refusing or await self._promised() >= asked.epoch:
                    self.begun = asked.epoch
                raise NotYet(
                    f"NodeD of {self._env.node} does not promise, see above; mend that first"
                )
            is_stale = max(self._epochs) >= asked.epoch
            if self.me not in candidacy.promises or (is_stale and not candidacy.elected):
                continue  # somebody else took that epoch
            if not candidacy.elected:
                self._silent.clear()
                candidacy = await self._ask_promises(candidacy, candidacy.missing, ASK_SECONDS_MAX)
            self._require(candidacy)
            return candidacy
        raise PromotionRefused("somebody else is being promoted at the same time; look who leads")

    async def _promised(self) -> Epoch:
        """Return what this node has promised, also when its NodeD does not say so."""
        return (await read_allegiance(self._env.files, self._env.paths)).promised

    async def _look_for_majority(
        self, voters: frozenset[NodeUuid], old: frozenset[NodeUuid] | None
    ) -> None:
        """Refuse while it costs nothing: even one voter's promise ends the reign that is.

        A candidate that is cut off would promise itself, and end the old reign when it is back.
        """
        heard: set[NodeUuid] = set()
        for deadline in (FIRST_ASK_SECONDS_MAX, ASK_SECONDS_MAX):
            missing = (voters | (old or frozenset())) - heard
            states = await self._ask_all(missing, lambda r: r.replica_state("config"), deadline)
            heard |= states.keys()
            self._epochs += [state.promised for state in states.values()]
            if self.me in heard and (self.forced or has_majority(heard, voters, old)):
                return
            self._silent.clear()
        if self.me not in heard:
            raise NotYet(f"NodeD of {self._env.node} does not answer, see above; mend that first")
        self._refuse(heard, voters | (old or frozenset()))

    async def _ask_promises(
        self, candidacy: Candidacy, voters: Collection[NodeUuid], deadline_seconds: float
    ) -> Candidacy:
        """Ask voters who have not promised, and note when a majority had."""
        heard: dict[NodeUuid, float] = {}
        answers = await self._ask_all(
            voters, lambda r: r.promise(candidacy.epoch), deadline_seconds, heard
        )
        for voter in sorted(answers, key=lambda each: heard[each]):
            was_elected = candidacy.elected
            candidacy = candidacy.with_promise(voter, answers[voter])
            if not was_elected:
                self._promised_at = heard[voter]
        return candidacy

    def _require(self, candidacy: Candidacy) -> None:
        if candidacy.elected or self.forced:
            return
        self._refuse(candidacy.promises.keys(), candidacy.electorate)

    def _refuse(self, heard: Collection[NodeUuid], voters: frozenset[NodeUuid]) -> NoReturn:
        raise NotYet(
            f"only {len(heard)} of the {len(voters)} master candidates answer; "
            f"{self._names(voters.difference(heard))} did not. A majority holds every change that "
            "was acknowledged: bring one of them back, or give --no-voting if changes that only "
            "they have may be lost"
        )

    def _warn(self, candidacy: Candidacy) -> None:
        held = candidacy.promises
        ends = [max(p.end(stream).rank for p in held.values()) for stream in STREAMS]
        self._say(
            f"Without a majority: {self._names(candidacy.missing)} did not answer and will be "
            f"marked offline. What they acknowledged after record {ends[0][1]} of the "
            f"configuration and record {ends[1][1]} of the job queue is lost."
        )

    # --- the old reign ---------------------------------------------------------------------------

    async def _end_old_reign(self, old_master: NodeUuid, epoch: Epoch) -> None:
        """Have the old master stop, or wait until its lease is surely over."""
        stopped = await self._ask_all(
            [old_master], lambda r: r.stop_master(epoch), STOP_SECONDS_MAX
        )
        if old_master in stopped:
            self._say(f"The master daemons of {self._names([old_master])} have stopped.")
            return
        self._say(
            f"{self._names([old_master])} does not answer; waiting {PROMOTION_SECONDS:g} seconds "
            "until it can not act any more."
        )
        await trio.sleep_until(self._promised_at + PROMOTION_SECONDS)

    # --- the logs --------------------------------------------------------------------------------

    async def _take(self, stream: Stream, candidacy: Candidacy) -> None:
        """Go on with the most advanced log among those who promised."""
        source = candidacy.source(stream)
        if source is None or source == self.me:
            return
        mine, theirs = (candidacy.promises[each].end(stream) for each in (self.me, source))
        if mine == theirs:
            return
        copy = await self._ask(
            self._node(source), lambda r: r.replica_copy(stream), COPY_SECONDS_MAX
        )
        self._say(f"Taking the log of stream {stream} from {self._names([source])}.")
        await self._store(stream, candidacy.epoch, copy)

    async def _store(self, stream: Stream, epoch: Epoch, copy: ReplicaCopy) -> None:
        here, after = self._node(self.me), copy.snapshot.end.position
        await self._ask(
            here, lambda r: r.install_snapshot(stream, epoch, copy.snapshot), COPY_SECONDS_MAX
        )
        for begin in range(0, len(copy.records), RECORDS_PER_MESSAGE):
            records = copy.records[begin : begin + RECORDS_PER_MESSAGE]
            append = partial(_append, stream, epoch, after, records)
            answer = await self._ask(here, append, COPY_SECONDS_MAX)
            if isinstance(answer, Mismatch):
                raise NotYet(f"the log of stream {stream} could not be taken over")
            after = records[-1].position

    async def _read_taken(self) -> None:
        """Read the configuration as the log that was taken has it."""
        copy = await self._ask(
            self._node(self.me), lambda r: r.replica_copy("config"), COPY_SECONDS_MAX
        )
        data = copy.snapshot.data
        value = data if isinstance(data, dict) else {}
        mark = await read_mark(self._env.files, self._env.paths.data / CONFIG_MARK)
        self._newest = await self._env.offload(lambda: newest_of(value, copy.records, mark))
        if self.me not in voters_of(self._newest.configuration):
            raise PromotionRefused(
                f"{self._env.node} is no master candidate any more: the log of others says so; "
                "give the command on one"
            )

    async def _tell(self, epoch: Epoch) -> None:
        nodes = [n.uuid for n in self._newest.configuration.nodes.values() if not n.offline]
        told = await self._ask_all(nodes, lambda r: r.tell_epoch(epoch))
        deaf = [uuid for uuid in nodes if uuid not in told]
        if deaf:
            self._say(f"Not told of the new master yet: {self._names(deaf)}.")

    # --- questions -------------------------------------------------------------------------------

    async def _ask(
        self, node: Node, question: Callable[[Replicas], Awaitable[T]], deadline_seconds: float
    ) -> T:
        try:
            return await self._links.ask_replicas(node, question, deadline_seconds)
        except (GantryError, OSError) as error:
            raise NotYet(f"{node.name}: {error}") from error

    async def _ask_all(
        self,
        nodes: Collection[NodeUuid],
        question: Callable[[Replicas], Awaitable[T]],
        deadline_seconds: float = ASK_SECONDS_MAX,
        heard: dict[NodeUuid, float] | None = None,
    ) -> dict[NodeUuid, T]:
        """Ask nodes at the same time; those that do not answer, or refuse, are missing.

        ``heard`` gets the moments of the answers.
        """
        answers: dict[NodeUuid, T] = {}

        async def one(node: Node) -> None:
            try:
                answers[node.uuid] = await self._links.ask_replicas(
                    node, question, deadline_seconds
                )
                if heard is not None:
                    heard[node.uuid] = trio.current_time()
            except StaleEpoch as error:  # it follows somebody newer, or has promised this before
                self._epochs.append(Epoch(error.newest))
            except ServiceError as error:
                self._silent.add(node.uuid)
                self._refusing.add(node.uuid)
                self._say(f"{node.name} refuses: {error}")
            except (ConnectionLost, OSError) as error:
                self._silent.add(node.uuid)
                self._say(f"{node.name} does not answer: {error}")

        async with trio.open_nursery() as nursery:
            for uuid in sorted(nodes):
                if uuid in self._newest.configuration.nodes and uuid not in self._silent:
                    nursery.start_soon(one, self._node(uuid))
        return answers


async def _append(
    stream: Stream,
    epoch: Epoch,
    after: Position,
    records: tuple[Record, ...],
    replicas: Replicas,
) -> AppendAnswer:
    return await replicas.append_records(stream, epoch, after, records, Index(0))
