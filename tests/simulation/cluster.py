"""A whole cluster in one loop: the real daemons on machines in memory."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio
from attrs import define, field, frozen
from tests.simulation import programs as programs_
from tests.simulation.fork_server import ForkServer, SimulatedLauncher
from tests.simulation.points import Points, is_crashing, points_in
from tests.simulation.services import MASTER_UNITS, NODE_UNITS, MasterUnits, Services
from tests.simulation.wishes import Op
from tests.simulation.world import LATENCY_SECONDS, Chance, Pulse, Timeline

from gantry.daemons.luxid.main import main as luxid_main
from gantry.daemons.noded.main import main as noded_main
from gantry.daemons.rconfd.main import main as rconfd_main
from gantry.daemons.wconfd.main import main as wconfd_main
from gantry.protocols.codec import Json
from gantry.protocols.jobproc import SpawnRequest
from gantry.protocols.luxi import SOCKET_NAME, Luxi
from gantry.runtime.environment import Environment
from gantry.runtime.files import in_place
from gantry.runtime.founding import found_cluster
from gantry.runtime.joining import issue_token, join_cluster
from gantry.runtime.luxi_client import LuxiClient
from gantry.runtime.testing.files import MemoryFiles, no_pause
from gantry.runtime.testing.machine import PATHS, Machine, Main, MemoryProcess
from gantry.runtime.testing.network import Sockets
from gantry.runtime.testing.wires import Station, Wires

T = TypeVar("T")

NAME: Final = "cluster.gantry.test"
SHARED: Final = Path("/srv/ganeti/shared-file-storage")
TOKEN_SECONDS: Final = 3600.0
FINAL: Final = ("success", "error", "canceled")

DISK_SECONDS: Final = (0.0002, 0.004)
"""What an operation that reaches the disk takes."""

WRITES: Final = frozenset(
    {"write", "sync", "truncate", "rename", "open", "link", "remove", "folder"}
)

COMMAND_SECONDS_MAX: Final = 180.0
"""A person gives up after this time."""


class Gone(Exception):
    """A command's process died before its end: its machine went dark, or it was given up."""


def node_name(number: int) -> str:
    """Return a node's name; the first one founds the cluster."""
    return f"node{number}.gantry.test"


@frozen
class Slow:
    """How slow a part of a machine's disks is."""

    seconds: tuple[float, float]
    """What an operation takes."""
    folder: Path = Path("/")
    """What is in it is slow."""


async def aside(work: Callable[[], T], /) -> T:
    """Do work as a thread would: whoever waits for it gets a turn later."""
    await trio.lowlevel.checkpoint()
    return work()


@define(eq=False)
class Node:
    """One node with all that runs on it."""

    machine: Machine
    services: Services
    fork_server: ForkServer

    @property
    def name(self) -> str:
        """Its name."""
        return self.machine.station.name

    @property
    def is_up(self) -> bool:
        """Whether it has power."""
        return self.machine.station.is_up


@define(eq=False)
class Cluster:
    """The nodes, and who is the master as the people around it believe."""

    size: int
    chance: Chance
    timeline: Timeline
    pulse: Pulse
    nursery: trio.Nursery
    spares: int = 0
    """How many machines more there are, which are no nodes at first."""
    works_aside: bool = False
    """Whether longer work of a daemon is done by a thread, so that others get a turn meanwhile."""
    wires: Wires = field(factory=Wires)
    nodes: dict[str, Node] = field(factory=dict)
    master: str = node_name(1)
    shared: MemoryFiles = field(factory=lambda: MemoryFiles(pause=no_pause))
    scripts: programs_.Scripts = field(init=False)
    failures: list[str] = field(factory=list)
    """What was seen to be wrong while it happened."""
    died: list[tuple[MemoryProcess, BaseException]] = field(factory=list)
    """Daemons that failed by themselves."""
    points: Points = field(factory=Points)
    """Where processes waited that were killed."""
    slow: dict[str, Slow] = field(factory=dict)
    """Machines of which a part of the disks is slow just now."""
    _disks: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.scripts = programs_.Scripts(self.chance.source("scripts"))
        self._disks = self.chance.source("disks")
        delays = self.chance.source("network")
        self.wires.delay = lambda _from, _to: delays.uniform(*LATENCY_SECONDS)
        self.shared.put_folder(SHARED)
        for number in range(1, self.size + self.spares + 1):
            self._add(number)
        self.wires.name(NAME, "192.0.2.100")

    def _add(self, number: int) -> None:
        name, address = node_name(number), f"192.0.2.{number}"
        machine = Machine(
            name.partition(".")[0],
            self.wires,
            self.wires.add(name, address),
            self.nursery,
            self.chance.source(f"random of {name}"),
            programs_.programs(self.scripts),
            {SHARED: self.shared},
            note=self.timeline.note,
            killed=self._killed,
            disk_watch=partial(self._disk, name),
            offload=aside if self.works_aside else in_place,
            sockets_of=self._sockets_of,
        )
        programs_.install(machine.disk)
        fork_server = ForkServer(machine, self._spawned, self._ended)
        services = Services(
            machine, {}, self.timeline.say, self._died, self.nursery, enabled={*NODE_UNITS}
        )
        services.mains = _mains(services, fork_server, self._disks)
        self.nodes[name] = Node(machine, services, fork_server)

    async def _disk(self, name: str, operation: str, path: Path) -> None:
        slow = self.slow.get(name)
        if slow is not None and slow.folder in path.parents:
            with trio.CancelScope(shield=True):  # a system call can not be broken off
                await trio.sleep(self._disks.uniform(*slow.seconds))
        elif operation in WRITES:
            await self.pulse.turns.sleep(self._disks.uniform(*DISK_SECONDS))
        else:
            await trio.lowlevel.checkpoint()

    def _sockets_of(self, station: Station) -> Sockets:
        return self.nodes[station.name].machine.sockets

    # --- what is seen while it happens -----------------------------------------------------------

    def _killed(self, process: MemoryProcess) -> None:
        if is_crashing(process):
            self.points.hit.update(points_in(process))

    def _spawned(self, process: MemoryProcess, request: SpawnRequest) -> None:
        self.timeline.say(process.name, f"is made for attempt {request.attempt}")
        others = [
            each
            for each in process.machine.processes.values()
            if each.program == process.program and each is not process
        ]
        if others:
            self.fail(f"{process.name} is made while {others[0].name} lives")

    def _ended(self, process: MemoryProcess) -> None:
        if process.failure is not None:
            self.died.append((process, process.failure))
            self.timeline.say(process.name, f"failed: {process.failure!r}"[:300])

    def _died(self, process: MemoryProcess) -> None:
        if process.failure is not None:
            self.died.append((process, process.failure))

    def fail(self, text: str) -> None:
        """Note something that must never be."""
        self.timeline.say("VIOLATION", text)
        self.failures.append(text)

    # --- commands --------------------------------------------------------------------------------

    @property
    def master_node(self) -> Node:
        """The node that people take for the master."""
        return self.nodes[self.master]

    async def command(self, node: str, program: str, main: Main) -> None:
        """Give a command on a node, as a person at a terminal there.

        Raises:
            Gone: it did not come to its end.
            Exception: whatever it ends with.
        """
        if not self.nodes[node].is_up:
            raise Gone(f"{node} is down")
        process = self.nodes[node].machine.start(program, main)
        try:
            with trio.fail_after(COMMAND_SECONDS_MAX):
                await process.ended.wait()
        except trio.TooSlowError:
            raise Gone(f"{program} takes too long") from None
        finally:
            process.kill()
        if isinstance(process.failure, Exception):
            raise process.failure
        if process.ending != "returned":
            raise Gone(f"{program} was killed")

    async def luxi(
        self, ask: Callable[[Luxi], Awaitable[object]], *, patience: float = 10.0
    ) -> object:
        """Ask the LuxiD of the master.

        Raises:
            Gone, GantryError, OSError, trio.TooSlowError: there is no answer, or it is that.
        """
        answers: list[object] = []

        async def main(env: Environment) -> None:
            path = env.paths.socket(SOCKET_NAME)
            client = LuxiClient(env.network, path, COMMAND_SECONDS_MAX, patience)
            async with client:
                answers.append(await ask(client.luxi))

        await self.command(self.master, "client", main)
        return answers[0]

    # --- from nothing to a cluster ---------------------------------------------------------------

    async def bring_up(self) -> None:
        """Found the cluster and let all nodes join, as the handbook says."""
        first = self.nodes[self.master]
        await self.command(self.master, "gnt-cluster", found)
        await first.services.start(*NODE_UNITS)
        await first.services.start(*MASTER_UNITS)
        for name in [*self.nodes][1 : self.size]:
            await self.introduce(name)
            opcode: Op = {"OP_ID": "OP_NODE_ADD", "node_name": name, "reason": []}
            job = await self.luxi(partial(_submit, opcode))
            assert isinstance(job, int)
            await self.until_final(job)

    async def introduce(self, name: str) -> None:
        """Have a machine get its keys with a token, unless it has or is down: so it can be added.

        Raises:
            Gone, GantryError, OSError, StepFailed: it came to nothing.
        """
        services = self.nodes[name].services
        if services.process("noded") is not None or not self.nodes[name].is_up:
            return
        tokens: list[str] = []

        async def invite(env: Environment) -> None:
            tokens.append((await issue_token(env, name, TOKEN_SECONDS)).text)

        async def join(env: Environment) -> None:
            await join_cluster(env, tokens[0], None)

        await self.command(self.master, "gantry", invite)
        await services.stop(*reversed(NODE_UNITS))
        try:
            await self.command(name, "gantry", join)
        finally:  # also if its power went meanwhile, and it was a node before
            services.enabled.update(NODE_UNITS)
        await services.start(*NODE_UNITS)

    async def until_final(self, job: int) -> str:
        """Wait for a job's end and return its status."""
        status, serial = "", 0
        known: Json = None
        while status not in FINAL:
            answer = await self.luxi(partial(change_of, job, known, serial))
            assert isinstance(answer, list)
            known, status = answer[0], str(answer[0][0])
            serial = max([serial, *(entry[0] for entry in answer[1])])
        return status

    async def end(self) -> None:
        """Switch everything off."""
        for node in self.nodes.values():
            node.services.lose_power()
            node.machine.lose_power(lambda _: 0)
        await trio.sleep(1.0)


async def _submit(opcode: Op, luxi: Luxi) -> int:
    return await luxi.submit_job((opcode,))


async def change_of(job: int, known: Json, serial: int, luxi: Luxi) -> Json:
    """Wait until a job or one of its opcodes has another status than is known, or says more."""
    return await luxi.wait_for_job_change(job, ("status", "opstatus"), known, serial, 60.0)


async def found(env: Environment) -> None:
    """Make a cluster that uses fake instances."""
    await found_cluster(
        env,
        {
            "cluster_name": NAME,
            "enabled_hypervisors": "fake",
            "enabled_disk_templates": "file,sharedfile,diskless",
            "use_external_mip_script": True,
        },
    )


def _mains(
    services: Services, fork_server: ForkServer, chance: random.Random
) -> dict[str, Callable[[MemoryProcess], Main]]:
    """Return what each unit of a node runs."""

    def noded(process: MemoryProcess) -> Main:
        return partial(noded_main, services=MasterUnits(services, process.life))

    def luxid(process: MemoryProcess) -> Main:
        seconds = partial(chance.uniform, *(0.0005, 0.005))
        return partial(luxid_main, launcher=SimulatedLauncher(fork_server, process.life, seconds))

    return {
        "noded": noded,
        "rconfd": lambda _: rconfd_main,
        "wconfd": lambda _: wconfd_main,
        "forkserver": lambda process: partial(fork_server.main, process),
        "luxid": luxid,
    }


__all__ = ["NAME", "PATHS", "Cluster", "Gone", "Node", "node_name"]
