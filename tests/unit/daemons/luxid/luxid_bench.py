"""A LuxiD under test: real sockets, files in memory, a scripted WConfD and scripted processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import orjson
import trio
from attrs import define, field
from typing_extensions import override

from gantry.core.config.reservations import Reservations
from gantry.core.config.state import State
from gantry.core.config.transaction import Transacted, forget, transact
from gantry.daemons.luxid.launcher import Child, Launcher
from gantry.daemons.luxid.main import main
from gantry.protocols.changes import Change
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.framing import ETX
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, NodeUuid, Ticket
from gantry.protocols.jobproc import (
    JOB_PROCESS,
    Assignment,
    Ended,
    Event,
    EventNumber,
    LogLevel,
    NotAssigned,
    NotSpawned,
    NotSubmitted,
    Numbered,
    OpcodeChanged,
    ProcessStatus,
    SpawnRequest,
    Submitted,
)
from gantry.protocols.locks import LockState
from gantry.protocols.objects.configuration import dump_configuration, load_configuration
from gantry.protocols.records import Index
from gantry.protocols.steps import Decided
from gantry.protocols.wconfd import (
    SOCKET_NAME,
    WCONFD,
    Committed,
    Delta,
    Deltas,
    LivingJob,
    Refused,
    Snapshot,
    WConfD,
)
from gantry.runtime.environment import Clock, Environment, Randomness, Readiness
from gantry.runtime.files import in_thread
from gantry.runtime.network import RealNetwork
from gantry.runtime.paths import Paths
from gantry.runtime.processes import RealProcesses
from gantry.runtime.rpc import serve
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.tls import RealTls

SAMPLES: Final = Path(__file__).parents[3] / "facts" / "samples"
PATIENCE_SECONDS: Final = 20.0
NOW: Final = 1795250100.5


class FixedClock(Clock):
    """A clock that stands still unless it is set."""

    def __init__(self) -> None:
        self.time = NOW

    @override
    def now(self) -> float:
        return self.time


class Counting(Randomness):
    """Numbers instead of randomness."""

    def __init__(self) -> None:
        self.count = 0

    @override
    def bytes(self, count: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(count)

    @override
    def uuid(self) -> str:
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012d}"


class Ready(Readiness):
    """Remembers that the daemon was ready."""

    def __init__(self) -> None:
        self.ready = trio.Event()

    @override
    def notify(self, state: str) -> None:
        if state == "READY=1":
            self.ready.set()


def environment(tmp_path: Path, files: MemoryFiles) -> Environment:
    """Return a node's environment below a folder."""
    variables = {"GANTRY_ROOT": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    paths = Paths.of(variables)
    paths.sockets.mkdir(parents=True, exist_ok=True)
    return Environment(
        node="node1.gnt.test",
        paths=paths,
        variables=variables,
        clock=FixedClock(),
        random=Counting(),
        files=files,
        network=RealNetwork(tmp_path / "hosts", "node1.gnt.test"),
        tls=RealTls(),
        processes=RealProcesses(),
        offload=in_thread,
        readiness=Ready(),
    )


# --- WConfD --------------------------------------------------------------------------------------


@define
class ScriptedWconfd:
    """The part of WConfD that LuxiD speaks with."""

    configuration: dict[str, object] = field(
        factory=lambda: orjson.loads((SAMPLES / "config.data").read_bytes())
    )
    epoch: Epoch = Epoch(7)  # noqa: RUF009 - a number
    named: list[tuple[LivingJob, ...]] = field(factory=list)
    dropped: list[JobId] = field(factory=list)
    deltas_made: list[Delta] = field(factory=list)
    held: tuple[LockState, ...] = ()
    voters: list[tuple[NodeUuid, ...]] = field(factory=list)
    alone_since: Index | None = None
    state: State | None = None
    """As of the last change that was asked for."""
    dies_once_it_has_committed: trio.Event | None = None
    _alone_news: trio.Event = field(factory=trio.Event)
    _news: trio.Event = field(factory=trio.Event)
    _heard: trio.Event = field(factory=trio.Event)

    async def snapshot(self) -> Snapshot:
        configuration = self.configuration
        if self.state is not None:
            configuration = dump_configuration(self.state.configuration)
        return Snapshot(Index(len(self.deltas_made)), self.epoch, configuration)

    async def deltas(self, since: Index) -> Deltas:
        while len(self.deltas_made) <= since:
            await self._news.wait()
        return Deltas(tuple(self.deltas_made[since:]))

    async def commit(self, ticket: Ticket, change: Change) -> Committed | Refused:
        """Make a change as WConfD does."""
        if self.state is None:
            self.state = State.of(load_configuration(self.configuration), epoch=self.epoch)
        made = transact(self.state, Reservations(), ticket, change, NOW)
        if isinstance(made, Transacted):
            self.state = made.state
            self.change(made.delta)
            if self.dies_once_it_has_committed is not None:
                self.dies_once_it_has_committed.set()
                await trio.sleep_forever()
            return Committed(made.delta.index)
        return made

    async def forget(self, job: JobId) -> None:
        if self.state is not None:
            self.state = forget(self.state, job)

    def change(self, delta: Delta) -> None:
        self.deltas_made.append(delta)
        self._news.set()
        self._news = trio.Event()

    async def name_jobs(self, epoch: Epoch, jobs: tuple[LivingJob, ...]) -> None:
        assert epoch == self.epoch
        self.named.append(jobs)
        self._wake()

    async def drop_job(self, job: JobId) -> None:
        self.dropped.append(job)
        self._wake()

    async def follow_voters(self, epoch: Epoch, voters: tuple[NodeUuid, ...]) -> None:
        assert epoch == self.epoch
        self.voters.append(voters)
        self._wake()

    async def alone(self, known: Index | None) -> Index | None:
        while self.alone_since == known:
            await self._alone_news.wait()
        return self.alone_since

    def go_alone(self, since: Index | None) -> None:
        self.alone_since = since
        self._alone_news.set()
        self._alone_news = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of what LuxiD has said."""
        with trio.fail_after(PATIENCE_SECONDS):
            while not condition():
                await self._heard.wait()

    def _wake(self) -> None:
        self._heard.set()
        self._heard = trio.Event()

    async def locks(self) -> tuple[LockState, ...]:
        return self.held


# --- job processes -------------------------------------------------------------------------------


class ScriptedChild(Child):
    """A process that is a task of the test."""

    def __init__(self, pid: int, scope: trio.CancelScope) -> None:
        self._pid, self._scope = pid, scope
        self.over = trio.Event()

    @property
    @override
    def pid(self) -> int:
        return self._pid

    @override
    def kill(self) -> None:
        self._scope.cancel()

    @override
    async def ended(self) -> None:
        await self.over.wait()

    @override
    def close(self) -> None:
        pass


def set_event() -> trio.Event:
    """Return an event that has happened."""
    event = trio.Event()
    event.set()
    return event


@define
class ScriptedProcess:
    """One attempt's process; the test says what it says."""

    request: SpawnRequest
    child: ScriptedChild
    assigned: trio.Event = field(factory=trio.Event)
    work: Assignment | None = None
    cancelled: trio.Event = field(factory=trio.Event)
    lease: list[bool] = field(factory=list)
    takes_messages: trio.Event = field(factory=set_event)
    given_up: trio.Event = field(factory=trio.Event)
    """Nobody waits any more for a message to be taken."""
    decisions: list[Decided] = field(factory=list)
    priority: int | None = None
    log_level: str = "info"
    paused: list[bool] = field(factory=list)
    """What was said about pausing, in order."""
    outcomes: dict[Key, tuple[Submitted | NotSubmitted, ...]] = field(factory=dict)
    committed_through: int = 0
    _events: list[Numbered] = field(factory=list)
    _changed: trio.Event = field(factory=trio.Event)

    # --- what LuxiD calls

    async def assign(self, assignment: Assignment) -> tuple[Numbered, ...]:
        if self.work is None:
            self.work = assignment
            self.assigned.set()
            if assignment.cancelled:
                self.cancelled.set()
        return await self.events(EventNumber(0))

    async def assignment(self) -> tuple[JobId, Attempt]:
        if self.work is None:
            raise NotAssigned(self.request.job)
        return self.work.job, self.work.attempt

    async def events(self, after: EventNumber) -> tuple[Numbered, ...]:
        self.committed_through = max(after, self.committed_through)
        self._wake()
        await self.until(lambda: bool(self._events) and self._events[-1].number > after)
        return tuple(each for each in self._events if each.number > after)

    async def submitted(self, key: Key, outcomes: tuple[Submitted | NotSubmitted, ...]) -> None:
        self.outcomes[key] = outcomes
        self._wake()

    async def cancel(self) -> bool:
        try:
            await self.takes_messages.wait()
        except trio.Cancelled:
            self.given_up.set()
            raise
        self.cancelled.set()
        return True

    async def decided(self, decision: Decided) -> None:
        self.decisions.append(decision)
        self._wake()

    async def set_lease(self, held: bool) -> None:
        self.lease.append(held)
        self._wake()

    async def status(self) -> ProcessStatus:
        return ProcessStatus(self.request.attempt, 0, "wait", False, False, False, 0, "info")

    async def set_log_level(self, level: LogLevel) -> None:
        self.log_level = level
        self._wake()

    async def pause(self) -> None:
        self.paused.append(True)
        self._wake()

    async def resume(self) -> None:
        self.paused.append(False)
        self._wake()

    async def set_priority(self, priority: int) -> None:
        self.priority = priority
        self._wake()

    # --- what the test calls

    def say(self, *events: Event) -> None:
        for event in events:
            self._events.append(Numbered(EventNumber(len(self._events) + 1), event))
        self._wake()

    async def say_all(self, *events: Event) -> None:
        """Say something and wait until it is committed."""
        self.say(*events)
        last = len(self._events)
        await self.until(lambda: self.committed_through >= last)

    async def run(self, opcodes: int = 1) -> None:
        """Begin: wait for locks, get them."""
        await self.assigned.wait()
        await self.say_all(OpcodeChanged(0, "waiting", NOW), OpcodeChanged(0, "running", NOW + 1))

    async def finish(self, result: object = None) -> None:
        """End the first opcode with success, and the job; leave."""
        await self.say_all(OpcodeChanged(0, "success", NOW + 2, result), Ended())
        self.child.kill()
        await self.child.over.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            while not condition():
                await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class ScriptedLauncher(Launcher):
    """Makes processes that live as long as the test wants, also without LuxiD."""

    def __init__(self, env: Environment, nursery: trio.Nursery) -> None:
        self.env, self.nursery = env, nursery
        self.processes: dict[tuple[int, int], ScriptedProcess] = {}
        self.refusal: str | None = None
        self.loses_connection = False
        self._made = trio.Event()

    @override
    async def run(self) -> None:
        await trio.sleep_forever()

    @override
    async def spawn(self, request: SpawnRequest) -> Child | NotSpawned:
        if self.refusal is not None:
            return NotSpawned(request.job, request.attempt, self.refusal)
        child = ScriptedChild(1000 + len(self.processes), trio.CancelScope())
        process = ScriptedProcess(request, child)
        await self.nursery.start(self._live, process)
        self.processes[request.job, request.attempt] = process
        self._made.set()
        self._made = trio.Event()
        if self.loses_connection:
            self.loses_connection = False
            raise ConnectionLost("the fork server is gone")
        return child

    async def _live(self, process: ScriptedProcess, task_status: trio.TaskStatus[None]) -> None:
        listener = await self.env.network.listen_unix(Path(process.request.socket), 0o600)
        task_status.started()
        with process.child._scope:
            await serve(JOB_PROCESS, process, listener)
        process.child.over.set()

    @override
    async def adopt(self, path: Path) -> Child | None:
        for process in reversed(self.processes.values()):
            if process.request.socket == str(path) and not process.child.over.is_set():
                return process.child
        return None

    async def process(self, job: int, attempt: int = 1) -> ScriptedProcess:
        """Wait for the process of an attempt."""
        with trio.fail_after(PATIENCE_SECONDS):
            while (job, attempt) not in self.processes:
                await self._made.wait()
        return self.processes[job, attempt]


# --- the whole -----------------------------------------------------------------------------------


@define
class Client:
    """A LUXI client."""

    stream: trio.abc.Stream
    _buffer: bytearray = field(factory=bytearray)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive(self) -> dict[str, object] | None:
        """Return the next answer; ``None`` if the server has hung up."""
        with trio.fail_after(PATIENCE_SECONDS):
            while ETX not in self._buffer:
                chunk = await self.stream.receive_some(65536)
                if not chunk:
                    return None
                self._buffer += chunk
        frame, _, rest = self._buffer.partition(ETX)
        self._buffer = rest
        return cast("dict[str, object]", orjson.loads(frame))

    async def ask(self, request: object) -> dict[str, object]:
        await self.send(orjson.dumps(request) + ETX)
        answer = await self.receive()
        assert answer is not None
        return answer

    async def call(self, method: str, *args: object) -> object:
        """Call a method and return its result; a failure fails the test."""
        answer = await self.ask({"method": method, "args": args, "version": 3000000})
        assert answer["success"], answer
        return answer["result"]

    async def fail(self, method: str, *args: object) -> object:
        """Call a method that has to fail and return the error."""
        answer = await self.ask({"method": method, "args": args, "version": 3000000})
        assert not answer["success"], answer
        return answer["result"]

    async def status(self, job: object) -> object:
        rows = await self.call("QueryJobs", [job], ["status"])
        return cast("list[list[object]]", rows)[0][0]


@define
class Bench:
    """Everything around one LuxiD, which can be stopped and started again."""

    env: Environment
    files: MemoryFiles
    nursery: trio.Nursery
    launcher: ScriptedLauncher
    wconfd: ScriptedWconfd = field(factory=ScriptedWconfd)
    _wconfd_scope: trio.CancelScope = field(factory=trio.CancelScope)
    _wconfd_gone: trio.Event = field(factory=trio.Event)

    @property
    def ready(self) -> Ready:
        return cast(Ready, self.env.readiness)

    @asynccontextmanager
    async def luxid(self) -> AsyncIterator[None]:
        """Run LuxiD."""
        self.ready.ready = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(main, self.env, self.launcher)
            with trio.fail_after(PATIENCE_SECONDS):
                await self.ready.ready.wait()
            yield
            nursery.cancel_scope.cancel()

    async def start_wconfd(self) -> None:
        """Serve WConfD and wait until it listens."""
        self._wconfd_scope = trio.CancelScope()
        listener = await self.env.network.listen_unix(self.env.paths.socket(SOCKET_NAME), 0o600)

        async def run() -> None:
            with self._wconfd_scope:
                await serve(WCONFD, cast(WConfD, self.wconfd), listener)
            self._wconfd_gone.set()

        self.nursery.start_soon(run)

    async def stop_wconfd(self) -> None:
        """Let WConfD die."""
        self._wconfd_gone = trio.Event()
        self._wconfd_scope.cancel()
        await self._wconfd_gone.wait()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Connect a LUXI client."""
        async with await self.env.network.connect_unix(self.env.paths.socket("query")) as stream:
            yield Client(stream)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Client]:
        """Run LuxiD with a WConfD, and a client once the configuration is known."""
        await self.start_wconfd()
        async with self.luxid(), self.client() as client:
            await self.known(client)
            yield client

    async def known(self, client: Client) -> None:
        """Wait until LuxiD knows the configuration."""
        request = {"method": "QueryConfigValues", "args": [["cluster_name"]]}
        await self.eventually(lambda: self._answers(client, request))

    async def _answers(self, client: Client, request: object) -> bool:
        return bool((await client.ask(request))["success"])

    async def eventually(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something that only asking again tells."""
        with trio.fail_after(PATIENCE_SECONDS):
            while not await condition():
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def bench(tmp_path: Path, files: MemoryFiles | None = None) -> AsyncIterator[Bench]:
    """Set everything up; whatever still runs at the end is stopped."""
    files = files or MemoryFiles()
    env = environment(tmp_path, files)
    await files.make_folder(env.paths.data)
    async with trio.open_nursery() as nursery:
        yield Bench(env, files, nursery, ScriptedLauncher(env, nursery))
        nursery.cancel_scope.cancel()


def delay(**parameters: object) -> dict[str, object]:
    """Return an opcode that does nothing."""
    return {"OP_ID": "OP_TEST_DELAY", "reason": [], "duration": 0.001, **parameters}
