"""The doors of programs: what scripts, allocators, tools and the kernel's files say."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
from attrs import frozen
from tests.hostile.door import Door, awaiting, decoding
from tests.hostile.examples import examples
from tests.unit.daemons.mond.mond_world import DISKS, MEMORY, TableInstances, stat
from typing_extensions import override

from gantry.daemons.mond.cpu_load import CpuLoad
from gantry.daemons.mond.disk_stats import DiskStatistics
from gantry.daemons.mond.metrics import Metrics
from gantry.daemons.mond.proc_files import DISKSTATS, LOADAVG, MEMINFO, STAT, UnknownForm
from gantry.daemons.noded.machine import CPUINFO, Machine
from gantry.drivers.file_sizes import size_bytes
from gantry.drivers.hypervisor.kvm.probe import newest_q35, parse_version, recent_enough
from gantry.drivers.network.taps import device_names
from gantry.drivers.scripts.allocators import Allocators
from gantry.drivers.scripts.hooks import Hooks
from gantry.drivers.scripts.os_definitions import OsDefinitions
from gantry.drivers.scripts.os_scripts import OsScripts
from gantry.protocols.codec import Malformed, to_bytes
from gantry.protocols.errors import OpExecError
from gantry.protocols.noded import StepFailed
from gantry.protocols.runtime_types import DriverFailed, InstanceSpec, OsUnusable, ScriptFailed
from gantry.protocols.scripts.iallocator import FOLDERS, evacuation_of, nodes_of, parse_answer
from gantry.runtime.environment import Environment, Finished, Process
from gantry.runtime.testing.environment import NoProcesses, memory_environment
from gantry.runtime.testing.files import MemoryFiles

NODE: Final = "node1.gnt.test"
OS_FOLDER: Final = Path("/srv/ganeti/os/noop")
SCRIPTS: Final = ("create", "import", "export", "rename", "verify")


@frozen
class _Ended(Process):
    """A program that has ended."""

    status: int

    @property
    @override
    def pid(self) -> int:
        return 4242

    @override
    async def wait(self) -> int:
        return self.status

    @override
    def send_signal(self, number: int) -> None:
        return


class Saying(NoProcesses):
    """Programs that all say the same, and end with a status; ``find`` finds the usual scripts."""

    def __init__(self, output: bytes, status: int, files: MemoryFiles) -> None:
        self.output, self.status, self.files = output, status, files

    @override
    async def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        input_bytes: bytes = b"",
        deadline_seconds: float,
    ) -> Finished:
        if argv[0] == "find":
            return Finished(0, "\0".join(SCRIPTS).encode())
        if argv[0] == "/bin/sh":  # an allocator: its errors go into a file
            self.files.put(Path(argv[4]), self.output)
        return Finished(self.status, self.output)

    @override
    @asynccontextmanager
    async def start(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
    ) -> AsyncIterator[Process]:
        if log is not None:
            self.files.put(log, self.output)
        yield _Ended(self.status)

    @override
    def find(self, program: str) -> Path | None:
        return Path("/usr/bin") / program


def program_door(
    name: str,
    drives: Iterable[str],
    use: Callable[[Environment], Awaitable[object]],
    declared: tuple[type[Exception], ...],
    seeds: Iterable[bytes],
) -> Door:
    """Return the door of programs' output: all say the input, once in success, once in failure."""

    async def take(data: bytes) -> None:
        for status in (0, 1):
            files = MemoryFiles()
            env = memory_environment(NODE, files)
            for path in (OS_FOLDER / "ganeti_api_version", Path(FOLDERS[0]) / "hail"):
                files.put_folder(path.parent)
                files.put(path, b"20\n")
            for path in (OS_FOLDER / "variants.list", OS_FOLDER / "parameters.list"):
                files.put(path, data)
            for path in (STAT, DISKSTATS, MEMINFO, LOADAVG, CPUINFO):
                files.put_folder(path.parent)
                files.put(path, data)
            with contextlib.suppress(*declared):
                await use(attrs.evolve(env, processes=Saying(data, status, files)))

    return Door(name, tuple(drives), awaiting(take), lambda: seeds)


async def _use_os(env: Environment) -> None:
    definitions = OsDefinitions(env)
    await definitions.diagnose()
    scripts = OsScripts(env, definitions)
    spec = attrs.evolve(examples(InstanceSpec)[0], os="noop", name="i.gnt.test", disks=(), nics=())
    variant = attrs.evolve(spec, os="noop+variant")
    with contextlib.suppress(ScriptFailed, OsUnusable):
        await scripts.create(spec, [])
    with contextlib.suppress(ScriptFailed, OsUnusable):
        await scripts.create(variant, [], reinstall=True)
    with contextlib.suppress(ScriptFailed, OsUnusable):
        await scripts.rename(spec, [], "old")
    for parameters in ({}, {"a": "b"}):
        with contextlib.suppress(ScriptFailed, OsUnusable):
            await scripts.verify("noop", parameters)


async def _examine_os(env: Environment) -> None:
    await env.files.write(OS_FOLDER / "ganeti_api_version", await env.files.read(STAT))
    await OsDefinitions(env).diagnose()


async def _run_hooks(env: Environment) -> None:
    folder = Hooks(env).folder / "node-add-pre.d"
    await env.files.make_folder(folder)
    await env.files.write(folder / "verify", b"#!/bin/sh\n")
    await Hooks(env).run("node-add", "pre", {})


async def _allocate(env: Environment) -> None:
    await Allocators(env).run("hail", {}, {"a": None}, "key")


def _read_allocation(data: bytes) -> None:
    answer = parse_answer(data)
    for count in (1, 2):
        with contextlib.suppress(Malformed):
            nodes_of(answer, count)
    evacuation_of(answer)


async def _look_at_machine(env: Environment) -> None:
    machine = Machine(env)
    await machine.processors()
    await machine.memory_mib()
    await machine.space_mib(Path("/"))


async def _measure(env: Environment) -> None:
    for collector in (CpuLoad(env.files), DiskStatistics(env.files)):
        with contextlib.suppress(UnknownForm):
            await collector.sample()
            await collector.data()
    await Metrics(env.files, TableInstances(), [], _no_families).text()


async def _no_families() -> tuple[()]:
    return ()


async def _size(env: Environment) -> None:
    await size_bytes(env.processes, Path("/x"))


def _probe(data: bytes) -> None:
    text = data.decode(errors="replace")
    version = parse_version(text)
    if version is not None:
        recent_enough(version)
    newest_q35(text)


_EVACUATION: Final[object] = [
    [["inst1", "g", ["node2"]]],
    [["inst2", "no place"]],
    [[{"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "inst1"}]],
]

DOORS: Final = (
    program_door(
        "os-scripts",
        ("drivers.scripts.os_scripts", "drivers.scripts.os_definitions"),
        _use_os,
        (),
        [b"a line\nanother\n", b"noop\n# c\nvariant\n", b"name what it means\n"],
    ),
    program_door("os-api", ("drivers.scripts.os_definitions",), _examine_os, (), [b"10\n15\n20\n"]),
    program_door("hooks", ("drivers.scripts.hooks",), _run_hooks, (), [b"said\n"]),
    program_door(
        "allocator",
        ("drivers.scripts.allocators",),
        _allocate,
        (OpExecError,),
        [to_bytes({"success": True, "info": "ok", "result": ["node1"]})],
    ),
    Door(
        "allocation",
        ("protocols.scripts.iallocator",),
        decoding(_read_allocation, Malformed),
        lambda: [
            to_bytes({"success": True, "info": "ok", "result": result})
            for result in (["node1"], ["node1", "node2"], _EVACUATION)
        ],
    ),
    program_door(
        "machine",
        ("daemons.noded.machine",),
        _look_at_machine,
        (StepFailed,),
        [b"1M-blocks Avail\n 100 50\n", b"processor : 0\nphysical id : 0\n", MEMORY.encode()],
    ),
    program_door(
        "proc-files",
        ("daemons.mond.cpu_load", "daemons.mond.disk_stats", "daemons.mond.metrics"),
        _measure,
        (),
        [stat(1, 2).encode(), DISKS.encode(), MEMORY.encode(), b"0.25 0.50 0.75 1/200 4242\n"],
    ),
    program_door("stat", ("drivers.file_sizes",), _size, (DriverFailed,), [b"1048576\n"]),
    Door(
        "ip-links",
        ("drivers.network.taps",),
        decoding(device_names, DriverFailed),
        lambda: [b'[{"ifname":"br0","flags":["UP"]},{"ifname":"gnt0"}]', b"[]", b""],
    ),
    Door(
        "qemu-version",
        ("drivers.hypervisor.kvm.probe",),
        decoding(_probe),
        lambda: [
            b"QEMU emulator version 7.2.9 (Debian)\n",
            b"q35  Standard PC (alias of pc-q35-7.2)\npc-q35-7.2 x\n",
        ],
        (b"9" * 5000,),
    ),
)
