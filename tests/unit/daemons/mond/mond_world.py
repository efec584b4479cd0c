"""A node for MonD to look at: files of the kernel, and what is known of instances."""

from collections.abc import Callable
from pathlib import Path

import trio
from attrs import define, field
from typing_extensions import override

from gantry.daemons.mond.api import Api
from gantry.daemons.mond.collector import Collector, Running
from gantry.daemons.mond.cpu_load import CpuLoad
from gantry.daemons.mond.disk_stats import DiskStatistics
from gantry.daemons.mond.metrics import Metrics
from gantry.daemons.mond.node_instances import Intended, NodeInstances, Unavailable
from gantry.daemons.mond.proc_files import DISKSTATS, LOADAVG, MEMINFO, STAT
from gantry.daemons.mond.replication import Replication
from gantry.protocols.identity import InstanceUuid
from gantry.protocols.mond import CollectorSettings
from gantry.protocols.objects.vocabulary import AdminState
from gantry.protocols.runtime_types import InstanceRuntime, InstanceState
from gantry.runtime.environment import Clock
from gantry.runtime.testing.environment import lone_network, memory_environment
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.network import MemoryNetwork

DISKS = (
    "   8       0 sda 10 1 2048 30 20 2 4096 40 0 50 70 0 0 0 0 1 2\n"
    "   8       1 sda1 9 1 2040 29 20 2 4096 40 0 49 69\n"
)
MEMORY = "MemTotal:  1000 kB\nMemFree:  400 kB\nMemAvailable: 700 kB\nHugePages_Total: 0\n"


def stat(*busy: int) -> str:
    """Return a /proc/stat in which each processor was busy for so many ticks."""
    lines = [f"cpu{number} {ticks} 0 0 1000 7 0 0 0 {ticks} 0" for number, ticks in enumerate(busy)]
    return "\n".join(["cpu  9 9 9 9 9 9 9 9 9 9", *lines, "intr 1 2 3", "ctxt 4", ""])


@define
class FixedClock(Clock):
    """Always the same time."""

    seconds: float = 1_700_000_000.25

    @override
    def now(self) -> float:
        return self.seconds


def guest(name: str, state: InstanceState, started_at: float | None = None) -> InstanceRuntime:
    uuid = InstanceUuid(f"uuid-of-{name}")
    return InstanceRuntime(name, uuid, "kvm", state, 128, 2, 12.5, started_at)


def wanted(name: str, admin_state: AdminState) -> Intended:
    return Intended(name, InstanceUuid(f"uuid-of-{name}"), admin_state, 1.5)


@define
class TableInstances(NodeInstances):
    """Instances as a test wants them; ``None``: nobody knows."""

    now: tuple[InstanceRuntime, ...] | None = ()
    meant: tuple[Intended, ...] | None = ()

    @override
    async def running(self) -> tuple[InstanceRuntime, ...]:
        await trio.lowlevel.checkpoint()
        if self.now is None:
            raise Unavailable("NodeD: it is down")
        return self.now

    @override
    async def intended(self) -> tuple[Intended, ...]:
        await trio.lowlevel.checkpoint()
        if self.meant is None:
            raise Unavailable("RConfD: silence")
        return self.meant


@define
class Node:
    """MonD's surroundings, and MonD's parts put together by hand."""

    files: MemoryFiles = field(factory=MemoryFiles)
    instances: TableInstances = field(factory=TableInstances)
    settings: dict[str, CollectorSettings] = field(factory=dict)
    clock: Clock = field(factory=FixedClock)
    network: MemoryNetwork = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.network = lone_network("node1.gnt.test", self.files)
        self.put(STAT, stat(100, 200))
        self.put(DISKSTATS, DISKS)
        self.put(MEMINFO, MEMORY)
        self.put(LOADAVG, "0.25 0.50 0.75 1/200 4242\n")

    def put(self, path: Path, text: str) -> None:
        self.files.put(path, text.encode())

    def running(self, *collectors: Collector) -> list[Running]:
        return [Running(each, self.clock, self._settings_of(each)) for each in collectors]

    def _settings_of(self, collector: Collector) -> Callable[[], CollectorSettings]:
        return lambda: self.settings.get(collector.info.name, CollectorSettings())

    def api(self, *more: Collector) -> Api:
        collectors = self.running(CpuLoad(self.files), DiskStatistics(self.files), *more)
        env = memory_environment("node1.gnt.test", self.files, network=self.network)
        metrics = Metrics(self.files, self.instances, collectors, Replication(env).families)
        return Api(collectors, metrics)
