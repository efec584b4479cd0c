"""``/metrics``: the node, its instances and the collectors themselves as OpenMetrics families.

Each source fails alone: what it would have told is missing, and ``gantry_mond_source_up`` says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, get_args

import trio
from attrs import frozen

from gantry.core.openmetrics import Family, FamilyType, Sample, render, states
from gantry.daemons.mond.collector import SAMPLE_SECONDS_MAX, Running
from gantry.daemons.mond.node_instances import NodeInstances
from gantry.daemons.mond.proc_files import (
    CPU_MODES,
    DISKSTATS,
    LOADAVG,
    MEMINFO,
    SECTOR_BYTES,
    STAT,
    TICKS_PER_SECOND,
    DiskStat,
    parse_diskstats,
    parse_loadavg,
    parse_meminfo,
    parse_stat,
)
from gantry.protocols.runtime_types import InstanceRuntime, InstanceState
from gantry.runtime.environment import Files
from gantry.runtime.logs import Log

LOG: Final = Log("mond")

STATES: Final[tuple[InstanceState, ...]] = get_args(InstanceState)
MIB: Final = 1024 * 1024

_MEMORY: Final[Mapping[str, str]] = {
    "MemTotal": "total",
    "MemFree": "free",
    "MemAvailable": "available",
    "Buffers": "buffers",
    "Cached": "cached",
    "SwapTotal": "swap_total",
    "SwapFree": "swap_free",
}
"""The kernel's names, and ours."""

_DISK_FAMILIES: Final[tuple[tuple[str, str, str, Callable[[DiskStat], float]], ...]] = (
    ("disk_reads", "", "Reads completed.", lambda d: d.reads),
    ("disk_read_bytes", "bytes", "Bytes read.", lambda d: d.sectors_read * SECTOR_BYTES),
    ("disk_read_time_seconds", "seconds", "Time spent reading.", lambda d: d.read_ms / 1000),
    ("disk_writes", "", "Writes completed.", lambda d: d.writes),
    ("disk_written_bytes", "bytes", "Bytes written.", lambda d: d.sectors_written * SECTOR_BYTES),
    ("disk_write_time_seconds", "seconds", "Time spent writing.", lambda d: d.write_ms / 1000),
    ("disk_io_time_seconds", "seconds", "Time with input or output.", lambda d: d.io_ms / 1000),
)

_INSTANCE_FAMILIES: Final[
    tuple[tuple[str, FamilyType, str, str, Callable[[InstanceRuntime], float]], ...]
] = (
    ("cpu_seconds", "counter", "seconds", "Processor time used.", lambda i: i.cpu_seconds),
    ("memory_bytes", "gauge", "bytes", "Memory given.", lambda i: i.memory_mib * MIB),
    ("vcpus", "gauge", "", "Processors given.", lambda i: i.vcpus),
)

Source = Callable[[], Awaitable[Sequence[Family]]]


@frozen
class Metrics:
    """Makes the text for one scrape."""

    files: Files
    instances: NodeInstances
    collectors: Sequence[Running]
    replication: Source

    async def text(self) -> str:
        """Return everything that can be told now."""
        families = [self._build(), self._collectors()]
        up: list[Sample] = []
        for name, source in self._sources().items():
            found = await _tried(name, source)
            families += found or ()
            up.append(Sample(float(found is not None), {"source": name}))
        text = "Whether a source of metrics could be read."
        return render([*families, Family("gantry_mond_source_up", "gauge", text, tuple(up))])

    def _sources(self) -> Mapping[str, Source]:
        return {
            "cpu": self._cpu,
            "load": self._load,
            "memory": self._memory,
            "disks": self._disks,
            "instances": self._instances,
            "replication": self.replication,
        }

    @staticmethod
    def _build() -> Family:
        labels = {"version": version("gantry")}
        return Family("gantry_build", "info", "What runs here.", (Sample(1, labels),))

    def _collectors(self) -> Family:
        samples = tuple(
            Sample(float(not each.problem), {"collector": each.info.name})
            for each in self.collectors
            if each.active
        )
        text = "Whether an active collector worked the last time."
        return Family("gantry_collector_up", "gauge", text, samples)

    # --- the node

    async def _cpu(self) -> Sequence[Family]:
        processors = parse_stat(await self._read(STAT))
        samples = tuple(
            Sample(getattr(times, mode) / TICKS_PER_SECOND, {"cpu": str(number), "mode": mode})
            for number, times in enumerate(processors)
            for mode in CPU_MODES
        )
        text = "What the processors did."
        return [Family("gantry_node_cpu_seconds", "counter", text, samples, "seconds")]

    async def _load(self) -> Sequence[Family]:
        load = parse_loadavg(await self._read(LOADAVG))
        return [Family("gantry_node_load1", "gauge", "Load average of a minute.", (Sample(load),))]

    async def _memory(self) -> Sequence[Family]:
        sizes = parse_meminfo(await self._read(MEMINFO))
        samples = tuple(
            Sample(sizes[name], {"kind": kind}) for name, kind in _MEMORY.items() if name in sizes
        )
        return [Family("gantry_node_memory_bytes", "gauge", "Memory.", samples, "bytes")]

    async def _disks(self) -> Sequence[Family]:
        disks = parse_diskstats(await self._read(DISKSTATS))
        return [
            Family(
                f"gantry_node_{name}",
                "counter",
                text,
                tuple(Sample(value(disk), {"device": disk.name}) for disk in disks),
                unit,
            )
            for name, unit, text, value in _DISK_FAMILIES
        ]

    async def _read(self, path: Path) -> str:
        return (await self.files.read(path)).decode(errors="replace")

    # --- instances

    async def _instances(self) -> Sequence[Family]:
        found = await self.instances.running()
        told = tuple(
            sample
            for each in found
            for sample in states("gantry_instance_state", each.state, STATES, _labels(each))
        )
        return [
            *(
                Family(
                    f"gantry_instance_{name}",
                    kind,
                    text,
                    tuple(Sample(value(each), _labels(each)) for each in found),
                    unit,
                )
                for name, kind, unit, text, value in _INSTANCE_FAMILIES
            ),
            Family("gantry_instance_state", "stateset", "What an instance does.", told),
        ]


def _labels(instance: InstanceRuntime) -> dict[str, str]:
    return {"instance": instance.name, "uuid": instance.uuid, "hypervisor": instance.hypervisor}


async def _tried(name: str, source: Source) -> Sequence[Family] | None:
    try:
        with trio.fail_after(SAMPLE_SECONDS_MAX):
            return await source()
    except Exception as error:  # noqa: BLE001 - told as a metric; the other sources go on
        LOG.debug("no metrics", source=name, reason=str(error))
        return None
