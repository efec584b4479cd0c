"""A cluster in memory for operations: WConfD's real decisions, and nodes that keep books.

The nodes are as strict as real ones: a disk is made once, only what exists can be started, and
a call that is repeated under its key answers what it answered the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import trio
from attrs import define, evolve, field
from immutables import Map
from typing_extensions import override

from gantry.core.config.reservations import Reservations, reserve
from gantry.core.config.selection import select
from gantry.core.config.state import State, with_object
from gantry.core.config.transaction import Transacted, transact
from gantry.core.config.verify import verify
from gantry.protocols.changes import Change
from gantry.protocols.codec import Json, from_bytes
from gantry.protocols.errors import ConnectionLost, OpExecError
from gantry.protocols.identity import Attempt, JobId, Key, NodeUuid, Ticket
from gantry.protocols.job_course import StepProgress
from gantry.protocols.locks import Granted, Held, Level, LockOwner, LockRequest
from gantry.protocols.noded import (
    NODED,
    Check,
    CheckReport,
    HookPhase,
    InstanceHere,
    Interrupted,
    NodeInfo,
    NodeVersion,
    NothingToUndo,
    ProgressReport,
    StepFailed,
)
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.configuration import load_configuration
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.vocabulary import DiskTemplate
from gantry.protocols.runtime_types import (
    ConsoleAccess,
    DiskSpec,
    HookResult,
    InstanceRuntime,
    InstanceSpec,
    MessageConsole,
    MigrationReport,
    MigrationSource,
    MigrationTarget,
    OsDefinition,
)
from gantry.protocols.service import Call, Method, Service
from gantry.protocols.wconfd import (
    WCONFD,
    Committed,
    ConfigPart,
    Invariant,
    NeverSeen,
    Refused,
    Reserved,
    Selection,
    Taken,
    Want,
    WConfD,
)
from gantry.runtime.link import Link
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.real import real_environment

T = TypeVar("T")

SAMPLE = Path("tests/facts/samples/config.data")
NOW = 2_000_000_000.0


@cache
def sample_state() -> State:
    """Return Ganeti's sample cluster, with shared files and free addresses for new nodes."""
    configuration = load_configuration(from_bytes(SAMPLE.read_bytes()))
    templates: tuple[DiskTemplate, ...] = ("file", "sharedfile", "diskless")
    cluster = evolve(configuration.cluster, enabled_disk_templates=templates)
    return State.of(evolve(configuration, cluster=cluster))


@define
class TwinWConfD:
    """Answers like WConfD, with its pure core and no disk. Locks are always free."""

    state: State
    reservations: Reservations = field(factory=Reservations)
    held: dict[LockOwner, list[Held]] = field(factory=dict)
    granted: list[LockRequest] = field(factory=list)
    draws: Counter[JobId] = field(factory=Counter)
    """How often a job has drawn; who plans anew draws the same again."""

    async def read(self, selection: Selection) -> ConfigPart:
        await trio.lowlevel.checkpoint()
        return select(self.state, selection)

    async def commit(self, ticket: Ticket, change: Change) -> Committed | Refused:
        await trio.lowlevel.checkpoint()
        outcome = transact(self.state, self.reservations, ticket, change, NOW)
        if isinstance(outcome, Transacted):
            self.state = outcome.state
            return Committed(self.state.index)
        return outcome

    async def outcome(self, key: Key) -> Committed | NeverSeen:
        await trio.lowlevel.checkpoint()
        keys = self.state.jobs.get(key.job)
        answer = keys.answers.get(key) if keys else None
        return NeverSeen() if answer is None else Committed(answer.index)

    async def lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...], priority: int
    ) -> Granted:
        await trio.lowlevel.checkpoint()
        self.granted.extend(requests)
        return Granted((), self.state.index)

    async def release(self, owner: LockOwner, level: Level | None) -> None:
        await trio.lowlevel.checkpoint()
        self.reservations = self.reservations.without_job(owner.job)
        del self.draws[owner.job]

    async def adopt(self, owner: LockOwner) -> None:
        await trio.lowlevel.checkpoint()

    async def drop_job(self, job: JobId) -> None:
        await trio.lowlevel.checkpoint()
        self.reservations = self.reservations.without_job(job)

    async def blockers(self, owner: LockOwner) -> tuple[JobId, ...]:
        await trio.lowlevel.checkpoint()
        return ()

    async def reserve(self, owner: LockOwner, wants: tuple[Want, ...]) -> Reserved | Taken:
        await trio.lowlevel.checkpoint()
        self.draws[owner.job] += 1
        seed = b"%08d%08d" % (owner.job, self.draws[owner.job])
        self.reservations, answer = reserve(self.state, self.reservations, owner.job, wants, seed)
        return answer

    async def verify(self) -> tuple[Invariant, ...]:
        await trio.lowlevel.checkpoint()
        return tuple(verify(self.state))


Mishap = Literal["fails", "interrupted before", "interrupted after", "takes too long"]
"""The call fails; NodeD dies before it has acted; NodeD dies when it has acted; the deadline passes
when it has acted, for whoever asks again, too."""


@define
class Fate:
    """Something goes wrong at one of the changing calls, counted over all nodes."""

    mishap: Mishap = "fails"
    at_do: int | None = None
    """At the how-manieth call from now that does something."""
    at_undo: int | None = None
    """At the how-manieth call that undoes something."""
    times: int = 1
    """How many calls in a row go wrong."""
    dos: int = 0
    undos: int = 0

    def next(self, key: Key) -> Mishap | None:
        """Say what goes wrong at this call."""
        if key.undo:
            self.undos += 1
            return self._at(self.undos, self.at_undo)
        self.dos += 1
        return self._at(self.dos, self.at_do)

    def _at(self, count: int, first: int | None) -> Mishap | None:
        wrong = first is not None and first <= count < first + self.times
        return self.mishap if wrong else None


@define
class TwinNode:
    """A node that remembers which disks and instances it has."""

    uuid: NodeUuid
    name: str
    shared: dict[str, int]
    """The shared files of all nodes: path -> size."""
    disks: dict[str, int] = field(factory=dict)
    running: dict[str, InstanceSpec] = field(factory=dict)
    incoming: set[str] = field(factory=set)
    shells: set[str] = field(factory=set)
    """What guests have left here that were sent elsewhere."""
    installed: list[str] = field(factory=list)
    hooks: list[tuple[str, HookPhase]] = field(factory=list)
    commands: list[str] = field(factory=list)
    refusing_hooks: set[str] = field(factory=set)
    left: bool = False
    peers: dict[NodeUuid, TwinNode] = field(factory=dict, repr=False)
    answers: dict[Key, Json] = field(factory=dict)
    failed: set[Key] = field(factory=set)
    begun: set[Key] = field(factory=set)
    interrupted: set[Key] = field(factory=set)
    in_flight: dict[Key, trio.CancelScope] = field(factory=dict)
    abandoned: set[tuple[Key, Attempt]] = field(factory=set)
    fate: Fate = field(factory=Fate, repr=False)
    """What goes wrong on the nodes of the cluster."""

    def copy(self, shared: dict[str, int], fate: Fate) -> TwinNode:
        """Return a node that is as this one is, in another cluster; it keeps no keys."""
        return TwinNode(
            self.uuid,
            self.name,
            shared,
            disks=dict(self.disks),
            running=dict(self.running),
            incoming=set(self.incoming),
            installed=list(self.installed),
            left=self.left,
            fate=fate,
        )

    def _place(self, disk: DiskSpec) -> dict[str, int]:
        return self.shared if disk.template == "sharedfile" else self.disks

    async def version(self) -> NodeVersion:
        return NodeVersion(self.name, self.uuid, "0.1.0", (1, 1), 1, "AA:BB")  # type: ignore[arg-type] # an epoch

    async def info(self, hypervisors: tuple[str, ...]) -> NodeInfo:
        return NodeInfo("boot", 4, 1, 1, 8192, 4096, 512, 10**6, 10**6, {})

    async def instances(self, hypervisors: tuple[str, ...]) -> tuple[InstanceRuntime, ...]:
        return tuple(
            InstanceRuntime(s.name, s.uuid, s.hypervisor, "running", s.maxmem_mib, s.vcpus, 0, None)
            for s in self.running.values()
        )

    async def instance(self, hypervisor: str, name: str) -> InstanceHere:
        found = [each for each in await self.instances((hypervisor,)) if each.name == name]
        return InstanceHere(found[0] if found else None, 4096)

    async def verify(self, check: Check) -> CheckReport:
        missing = tuple(d.uuid for d in check.disks if d.path not in self._place(d))
        running = await self.instances(())
        return CheckReport(NOW, "0.1.0", {}, (), {}, missing, running, ())

    async def os_definitions(self) -> tuple[OsDefinition, ...]:
        parameters = (("password", "of root"),)
        return (OsDefinition("noop", "/srv/ganeti/os/noop", "", parameters=parameters),)

    async def exports(self) -> tuple[str, ...]:
        return ()

    async def console(self, instance: InstanceSpec) -> ConsoleAccess:
        return MessageConsole("no console here")

    async def migration_source(self, instance: InstanceSpec) -> MigrationSource:
        return MigrationSource()

    async def create_disk(self, ticket: Ticket, instance: str, disk: DiskSpec) -> None:
        if disk.path in self._place(disk) and not ticket.redo:
            raise StepFailed(f"{disk.path} exists already")
        self._place(disk)[disk.path] = disk.size_mib

    async def remove_disk(self, ticket: Ticket, instance: str, disk: DiskSpec) -> None:
        self._place(disk).pop(disk.path, None)

    async def rename_disk(
        self, ticket: Ticket, instance: str, disk: DiskSpec, new_instance: str, new_disk: DiskSpec
    ) -> None:
        place = self._place(disk)
        if disk.path in place:
            place[new_disk.path] = place.pop(disk.path)
        elif new_disk.path not in place:
            raise StepFailed(f"{disk.path} does not exist")

    async def create_os(
        self, ticket: Ticket, instance: InstanceSpec, reinstall: bool, secrets: Mapping[str, str]
    ) -> None:
        for disk in instance.disks:
            if disk.path not in self._place(disk):
                raise StepFailed(f"{disk.path} does not exist")
        self.installed.append(instance.name)

    async def rename_os(self, ticket: Ticket, instance: InstanceSpec, old_name: str) -> None:
        self.installed.append(instance.name)

    async def start_instance(
        self, ticket: Ticket, instance: InstanceSpec, paused: bool
    ) -> InstanceRuntime:
        for disk in instance.disks:
            if disk.path not in self._place(disk):
                raise StepFailed(f"{disk.path} does not exist")
        self.running.setdefault(instance.name, instance)
        return next(r for r in await self.instances(()) if r.name == instance.name)

    async def stop_instance(
        self, ticket: Ticket, instance: InstanceSpec, force: bool, timeout_seconds: float
    ) -> None:
        self.running.pop(instance.name, None)

    async def reboot_instance(
        self, ticket: Ticket, instance: InstanceSpec, how: str, timeout_seconds: float
    ) -> None:
        if instance.name not in self.running:
            raise StepFailed(f"{instance.name} does not run")

    async def accept_migration(
        self, ticket: Ticket, instance: InstanceSpec, source: MigrationSource, live: bool
    ) -> MigrationTarget:
        self.incoming.add(instance.name)
        return MigrationTarget(f"twin:{self.uuid}")

    async def migrate_instance(
        self, ticket: Ticket, instance: InstanceSpec, target: MigrationTarget, live: bool
    ) -> MigrationReport:
        peer = self.peers[NodeUuid(target.uri.removeprefix("twin:"))]
        if instance.name not in peer.incoming or instance.name not in self.running:
            raise StepFailed(f"{instance.name} can not be migrated")
        peer.incoming.remove(instance.name)
        peer.running[instance.name] = self.running.pop(instance.name)
        self.shells.add(instance.name)
        return MigrationReport("completed", 10, 1, 1000)

    async def finish_migration(
        self, ticket: Ticket, instance: InstanceSpec, role: str, success: bool
    ) -> None:
        self.incoming.discard(instance.name)
        if role == "source":
            self.shells.discard(instance.name)

    async def run_hooks(
        self, ticket: Ticket, path: str, phase: HookPhase, environment: Mapping[str, str]
    ) -> tuple[HookResult, ...]:
        self.hooks.append((path, phase))
        status = "fail" if f"{path}-{phase}" in self.refusing_hooks else "success"
        return (HookResult(f"{path}-{phase}.d/00-test", status, "no"),)  # type: ignore[arg-type] # a literal

    async def run_restricted(self, ticket: Ticket, command: str) -> tuple[bool, str]:
        self.commands.append(command)
        return True, f"{command} on {self.name}"

    async def delay(self, ticket: Ticket, seconds: float) -> None:
        await trio.sleep(seconds)

    async def progress(self, key: Key, after: int) -> ProgressReport | None:
        report = ProgressReport(after + 1, StepProgress(after + 1.0, 10.0, "seconds"))
        return report if key in self.begun and key not in self.answers else None

    async def abandon(self, ticket: Ticket) -> None:
        key = evolve(ticket.key, undo=False)
        self.abandoned.add((key, ticket.attempt))
        if key in self.in_flight:
            self.in_flight[key].cancel()
            while key in self.in_flight:
                await trio.lowlevel.checkpoint()

    async def forget_keys(self, jobs: tuple[JobId, ...]) -> None:
        self.answers = {key: each for key, each in self.answers.items() if key.job not in jobs}
        self.failed = {key for key in self.failed if key.job not in jobs}
        self.begun = {key for key in self.begun if key.job not in jobs}
        self.interrupted = {key for key in self.interrupted if key.job not in jobs}

    async def leave_cluster(self, ticket: Ticket) -> None:
        self.left = True

    async def called(self, method: Method, args: Mapping[str, Json]) -> Json:
        """Answer a call in its wire form, once for each key."""
        loaded = method.load_args(dict(args))
        ticket = loaded.get("ticket")
        if not isinstance(ticket, Ticket) or method.name == "abandon":
            return method.dump_result(await getattr(self, method.name)(**loaded))
        key = ticket.key
        if key in self.answers:
            return self.answers[key]
        if key.undo and not self._did(key):
            raise NothingToUndo(str(key))
        given_up = (key, ticket.attempt) in self.abandoned
        if given_up or (key in self.interrupted and not ticket.redo):
            raise Interrupted(str(key))
        with trio.CancelScope() as scope:
            self.in_flight[key] = scope
            try:
                return await self._acted(method, args, loaded, ticket)
            finally:
                self.in_flight.pop(key, None)
        self.interrupted.add(key)
        raise Interrupted(str(key))

    async def _acted(
        self,
        method: Method,
        args: Mapping[str, Json],
        loaded: Mapping[str, object],
        ticket: Ticket,
    ) -> Json:
        key = ticket.key
        self.begun.add(key)
        self.interrupted.discard(key)
        mishap = self.fate.next(key)
        try:
            if mishap == "fails":
                raise StepFailed("it does not work today")
            result = None
            if mishap != "interrupted before":
                result = method.dump_result(await getattr(self, method.name)(**loaded))
        except StepFailed:
            self.failed.add(key)
            raise
        if mishap is not None:
            self.interrupted.add(key)
            if ticket.redo and mishap != "takes too long":  # not told, but served
                return await self.called(method, args)
            raise Interrupted(str(key))
        self.answers[key] = result
        return result

    def _did(self, undo: Key) -> bool:
        do = evolve(undo, undo=False)
        return do in self.begun and do not in self.failed


class TwinLink(Link[WConfD]):
    """A link without a socket."""

    def __init__(self, wconfd: TwinWConfD) -> None:
        super().__init__(WCONFD, real_environment().network, Path("/nowhere"))
        self.twin = wconfd

    @override
    async def call(self, ask: Callable[[WConfD], Awaitable[T]]) -> T:
        return await ask(self.twin)  # type: ignore[arg-type] # it has what jobs call


class TwinNodeLinks(NodeLinks):
    """Ways to nodes without a network; calls still travel in their wire form."""

    def __init__(self, nodes: Mapping[NodeUuid, TwinNode], wconfd: TwinWConfD) -> None:
        async def find(uuid: NodeUuid) -> Node:
            await trio.lowlevel.checkpoint()
            found = wconfd.state.configuration.nodes.get(uuid)
            if found is None:
                raise OpExecError(f"there is no node {uuid}")
            return found

        super().__init__(real_environment(), find)
        self.twins = dict(nodes)
        self.dead: set[NodeUuid] = set()

    @override
    async def _way_to(
        self, node: Node, deadline_seconds: float, service: Service[Any] = NODED
    ) -> Call:
        twin = next(
            (t for t in self.twins.values() if t.uuid == node.uuid or t.name == node.name), None
        )

        async def way(wire_name: str, method: Method, args: Mapping[str, object]) -> object:
            await trio.lowlevel.checkpoint()
            if twin is None or twin.uuid in self.dead:
                raise ConnectionLost("no answer")
            return await twin.called(method, args)

        return way

    @override
    async def _again(
        self, ask: Callable[[], Awaitable[T]], node: Node, deadline_seconds: float
    ) -> T:
        return await ask()


@define
class TwinCluster:
    """All of it."""

    wconfd: TwinWConfD
    nodes: dict[NodeUuid, TwinNode]
    shared: dict[str, int]
    fate: Fate

    @classmethod
    def sample(cls) -> TwinCluster:
        """Return the sample cluster with the disks that it says there are."""
        state, fate = sample_state(), Fate()
        shared: dict[str, int] = {}
        nodes = {
            uuid: TwinNode(uuid, node.name, shared, fate=fate)
            for uuid, node in state.configuration.nodes.items()
        }
        for node in nodes.values():
            node.peers = nodes
        for disk in state.configuration.disks.values():
            for uuid in disk.nodes:
                path = getattr(disk.logical_id, "path", "")
                nodes[uuid].disks[path] = disk.size
        return cls(TwinWConfD(state), nodes, shared, fate)

    def copy(self) -> TwinCluster:
        """Return another cluster that is as this one is."""
        shared, fate = dict(self.shared), Fate()
        nodes = {uuid: node.copy(shared, fate) for uuid, node in self.nodes.items()}
        for node in nodes.values():
            node.peers = nodes
        wconfd = TwinWConfD(self.wconfd.state, self.wconfd.reservations)
        wconfd.draws = Counter(self.wconfd.draws)
        return TwinCluster(wconfd, nodes, shared, fate)

    def use(self, **settings: object) -> None:
        """Give the cluster other settings, without a job."""
        state = self.wconfd.state
        cluster: Cluster = evolve(state.configuration.cluster, **settings)  # type: ignore[arg-type] # by name
        self.wconfd.state = State.of(with_object(state.configuration, cluster))

    def picture(self) -> object:
        """Return everything that a job must leave as it was if it fails."""
        c = self.wconfd.state.configuration
        quiet = {"serial_no": 0, "mtime": 0.0}
        return (
            {u: evolve(i, **quiet) for u, i in c.instances.items()},  # type: ignore[arg-type] # by name
            {u: evolve(d, **quiet) for u, d in c.disks.items()},  # type: ignore[arg-type] # by name
            {u: evolve(n, **quiet) for u, n in c.nodes.items()},  # type: ignore[arg-type] # by name
            {u: evolve(g, **quiet) for u, g in c.nodegroups.items()},  # type: ignore[arg-type] # by name
            evolve(c.cluster, **quiet),  # type: ignore[arg-type] # by name
            {n.name: (dict(n.disks), sorted(n.running), sorted(n.incoming)) for n in self.all()},
            dict(self.shared),
            self.wconfd.reservations == Reservations(Map(), Map()),
        )

    def all(self) -> list[TwinNode]:
        return list(self.nodes.values())
