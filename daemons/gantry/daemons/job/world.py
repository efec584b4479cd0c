"""The real world of an operation that plans: WConfD, the nodes' NodeDs, the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from attrs import evolve, field, frozen
from typing_extensions import override

from gantry.core.query.cluster import QueueState, Release
from gantry.daemons.job.performer import ENDS_ATTEMPT
from gantry.drivers.scripts.allocators import Allocators
from gantry.operations.world import NoAnswer, World
from gantry.protocols.codec import Json
from gantry.protocols.errors import ConnectionLost, OpPrereqError, ServiceError
from gantry.protocols.identity import JobId, NodeUuid
from gantry.protocols.locks import LockOwner
from gantry.protocols.noded import NodeD
from gantry.protocols.objects.node import Node
from gantry.protocols.records import Index
from gantry.protocols.scripts.iallocator import Answer
from gantry.protocols.wconfd import ConfigPart, Invariant, Reserved, Selection, Taken, Want, WConfD
from gantry.runtime.environment import Environment
from gantry.runtime.link import Link
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.release import this_release

T = TypeVar("T")

ASK_SECONDS_MAX: Final = 60.0
"""A node that takes longer to answer a question is taken for dead, as in Ganeti."""


@frozen
class JobWorld(World):
    """What an operation of one attempt sees."""

    env: Environment
    owner: LockOwner
    wconfd: Link[WConfD]
    nodes: NodeLinks
    log: Callable[[str], None]
    reserved: list[Want] = field(factory=list)
    """What was reserved for the job, with the values."""

    _parts: dict[Selection, ConfigPart] = field(factory=dict, init=False)
    """What was read, as long as it can be taken for the present."""

    @property
    @override
    def job(self) -> JobId:
        return self.owner.job

    @override
    async def read(self, selection: Selection) -> ConfigPart:
        """Return a part of the configuration; the same one again is not asked for again.

        Since the locks are held, what an operation decides about can not change any more.
        """
        if selection not in self._parts:
            part = await self.wconfd.call(lambda w: w.read(selection))
            self.nodes.know(part.nodes.values())
            self._parts[selection] = part
        return self._parts[selection]

    @property
    def may_have_leftovers(self) -> bool:
        """Whether anything may be left over anywhere; what was read is enough to say no."""
        return all(part.has_leftovers for part in self._parts.values())

    def locked_at(self, index: Index | None) -> None:
        """Forget what was read before the locks were granted and may have changed until then."""
        for selection in [s for s, part in self._parts.items() if part.index != index]:
            del self._parts[selection]

    @override
    async def ask(self, node: Node, question: Callable[[NodeD], Awaitable[T]]) -> T:
        try:
            return await self.nodes.ask_at(node, question, ASK_SECONDS_MAX)
        except ENDS_ATTEMPT:
            raise
        except (ServiceError, ConnectionLost) as error:
            raise OpPrereqError(f"node {node.name}: {error}", "environment_error") from error

    @override
    async def ask_all(
        self, nodes: Sequence[Node], question: Callable[[Node, NodeD], Awaitable[T]]
    ) -> Mapping[NodeUuid, T | NoAnswer]:
        answers: dict[NodeUuid, T | NoAnswer] = {}

        async def one(node: Node) -> None:
            try:
                answers[node.uuid] = await self.nodes.ask_at(
                    node, lambda n: question(node, n), ASK_SECONDS_MAX
                )
            except ENDS_ATTEMPT:
                raise
            except (ServiceError, ConnectionLost) as error:
                answers[node.uuid] = NoAnswer(str(error))

        async with open_plain_nursery() as nursery:
            for node in sorted(nodes, key=lambda each: each.uuid):
                nursery.start_soon(one, node)
        return answers

    @override
    async def reserve(self, *wants: Want) -> tuple[str, ...]:
        outcome = await self.wconfd.call(lambda w: w.reserve(self.owner, wants))
        match outcome:
            case Reserved(values):
                pairs = zip(wants, values, strict=True)
                self.reserved.extend(evolve(want, value=value) for want, value in pairs)
                return values
            case Taken(kind, value, by):
                raise OpPrereqError(f"{kind} {value} is in use by {by}", "already_exists")

    @override
    async def verify_configuration(self) -> tuple[Invariant, ...]:
        return await self.wconfd.call(lambda w: w.verify())

    @override
    async def queue_state(self) -> QueueState:
        files, paths = self.env.files, self.env.paths
        drained = await files.exists(paths.queue / "drain")
        try:
            pause = int(await files.read(paths.data / "watcher.pause"))
        except (OSError, ValueError):
            pause = None
        return QueueState(drained, pause)

    @override
    def release(self) -> Release:
        return this_release()

    @override
    async def run_allocator(
        self, name: str, document: Mapping[str, Json], parameters: Mapping[str, Json]
    ) -> Answer:
        key = f"{self.owner.job}.{self.owner.attempt}"
        return await Allocators(self.env).run(name, document, parameters, key)

    @override
    async def resolve(self, name: str) -> str:
        try:
            return await self.env.network.resolve(name)
        except OSError as error:
            text = f"the name {name} does not resolve: {error.strerror or error}"
            raise OpPrereqError(text, "resolver_error") from error

    @override
    def say(self, *lines: str) -> None:
        for line in lines:
            self.log(line)

    @override
    def now(self) -> float:
        return self.env.clock.now()
