"""The programs of simulated nodes: those that drivers call, and an operating system's scripts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trio
from attrs import define, field
from tests.simulation.wishes import ALLOCATOR, COMMAND

from gantry.protocols.codec import from_bytes, to_bytes
from gantry.protocols.scripts.iallocator import FOLDERS
from gantry.runtime.environment import Finished
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.programs import SHEBANG, Program, Run

OS: Final = "noop"
OS_FOLDER: Final = Path("/srv/ganeti/os") / OS
SCRIPTS: Final = ("create", "import", "export", "rename", "verify")

ADDRESS: Final = Path("/run/master-address")
"""What stands for the cluster's address on the machine that has it."""

SCRIPT_SECONDS: Final = (0.1, 8.0)
"""An installation takes its time, so that something may happen meanwhile."""

FAILS_SHARE: Final = 0.05
"""How many scripts fail by themselves: so that much is undone."""

DISK_MIB: Final = (1_000_000, 900_000)


@define(eq=False)
class Scripts:
    """The OS scripts of a cluster: they see when two work on one instance, and can be let fail."""

    chance: random.Random
    failing: int = 0
    """How many of the next scripts fail."""
    violations: list[str] = field(factory=list)
    commands: int = 0
    """How often a restricted command was run."""
    command_seconds: float | None = None
    """What one takes that begins now, if that is not to be drawn."""
    script_seconds: float | None = None
    """Likewise, of an OS script."""
    rung: trio.Event = field(factory=trio.Event)
    """Set with the end of the next one."""
    _at_work: set[str] = field(factory=set)

    async def run(self, run: Run) -> Finished:
        """Work on an instance for some time."""
        name = run.variables.get("INSTANCE_NAME", "")
        if not name:
            return Finished(0, b"")
        if name in self._at_work:
            self.violations.append(f"two OS scripts work on {name} at once")
        self._at_work.add(name)
        seconds = self.chance.uniform(*SCRIPT_SECONDS)
        try:
            await trio.sleep(self.script_seconds or seconds)
        finally:
            self._at_work.discard(name)
        if self.failing > 0 or self.chance.random() < FAILS_SHARE:
            self.failing = max(0, self.failing - 1)
            return Finished(1, b"it was made to fail\n")
        return Finished(0, b"done\n")

    async def run_command(self, _: Run) -> Finished:
        """Do what must not be done twice."""
        self.commands += 1
        seconds = self.chance.uniform(*SCRIPT_SECONDS)
        await trio.sleep(self.command_seconds or seconds)
        self.rung.set()
        self.rung = trio.Event()
        return Finished(0, b"done\n")


async def shell(run: Run) -> Finished:
    """Run what the shell was told to run: allocators are called through it."""
    await trio.lowlevel.checkpoint()
    *_, read = (word for word in run.argv if word.startswith("/"))
    path = Path(read)
    return Finished(0, to_bytes(_placement(from_bytes(run.at(path).content(path)))))


def _placement(document: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON of which parts are looked at
    """Choose the first node that can, as a very simple instance allocator does."""
    request = document["request"]
    able = sorted(
        name
        for name, node in document["nodes"].items()
        if not node["offline"] and not node["drained"] and node["vm_capable"]
    )
    leaving = request.get("relocate_from", ())
    found = [name for name in able if name not in leaving]
    if request["type"] != "node-evacuate":
        return {"success": bool(found), "info": "the first", "result": found[:1]}
    jobs = [
        [
            {
                "OP_ID": "OP_INSTANCE_MIGRATE",
                "instance_name": name,
                "target_node": next((n for n in found if n not in nodes), nodes[0]),
                "allow_failover": True,
            }
        ]
        for name in request["instances"]
        for nodes in [document["instances"][name]["nodes"]]
    ]
    return {"success": True, "info": "the first", "result": [[], [], jobs]}


async def master_address(run: Run) -> Finished:
    """Bring the cluster's address up on a machine, or take it down."""
    await trio.lowlevel.checkpoint()
    files = run.at(ADDRESS)
    if run.argv[-1] == "start":
        files.put(ADDRESS, run.variables["MASTER_IP"].encode())
    else:
        await files.remove(ADDRESS)
    return Finished(0, b"")


async def df(run: Run) -> Finished:
    """Say how much space there is."""
    await trio.lowlevel.checkpoint()
    size, free = DISK_MIB
    return Finished(0, f"1M-blocks Avail\n{size} {free}\n".encode())


async def stat(run: Run) -> Finished:
    """Say how long a file is."""
    await trio.lowlevel.checkpoint()
    path = Path(run.argv[-1])
    try:
        return Finished(0, b"%d\n" % len(run.at(path).content(path)))
    except OSError as error:
        return Finished(1, str(error).encode())


async def find(run: Run) -> Finished:
    """List the executable files of a folder, or say whose files are."""
    await trio.lowlevel.checkpoint()
    if any("%U" in word for word in run.argv):
        paths = [Path(word) for word in run.argv[1 : run.argv.index("-maxdepth")]]
        command = paths[-1]
        if command not in run.at(command).paths():
            return Finished(1, f"no {command}".encode())
        return Finished(0, b"0 0 555 d\n0 0 755 d\n0 0 755 f\n")
    folder = Path(run.argv[2])
    files = run.at(folder)
    paths = [path for path in files.paths() if path.parent == folder]
    names = [path.name for path in paths if files.content(path).startswith(SHEBANG)]
    return Finished(0, "".join(f"{name}\0" for name in names).encode())


def programs(scripts: Scripts) -> Mapping[str, Program]:
    """Return all programs by name."""
    own: dict[str, Program] = {
        "master-ip-setup": master_address,
        "sh": shell,
        "df": df,
        "stat": stat,
        "find": find,
    }
    return {**own, COMMAND: scripts.run_command, **dict.fromkeys(SCRIPTS, scripts.run)}


def install(files: MemoryFiles) -> None:
    """Put onto a machine's disk what a machine has before it is a node."""
    for name in SCRIPTS:
        files.put(OS_FOLDER / name, SHEBANG + b"/bin/sh\n")
    files.put(OS_FOLDER / "ganeti_api_version", b"20\n")
    files.put(OS_FOLDER / "parameters.list", b"")
    files.put(Path("/etc/ganeti/scripts/master-ip-setup"), SHEBANG + b"/bin/sh\n")
    files.put(Path("/etc/ganeti/restricted-commands") / COMMAND, SHEBANG + b"/bin/sh\n")
    files.put(Path("/bin/sh"), SHEBANG + b"/bin/sh\n")
    files.put(Path(FOLDERS[1]) / ALLOCATOR, SHEBANG + b"/bin/sh\n")
    for folder in ("/etc/ganeti", "/var/lib/ganeti", "/var/log/ganeti", "/srv/ganeti"):
        files.put_folder(Path(folder))
    files.put(Path("/proc/sys/kernel/random/boot_id"), b"00000000-0000-4000-8000-000000000000\n")
    files.put(Path("/proc/cpuinfo"), b"processor : 0\n\nprocessor : 1\n")
    meminfo = b"MemTotal: 33554432 kB\nMemFree: 30000000 kB\nBuffers: 0 kB\nCached: 0 kB\n"
    files.put(Path("/proc/meminfo"), meminfo)
