"""Nodes with real QEMU guests: each test gets fresh ones and leaves no process."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
import trio
from attrs import field, frozen

from gantry.drivers.hypervisor.kvm.driver import KvmHypervisor
from gantry.protocols.identity import DiskUuid, InstanceUuid, NicUuid, NodeUuid
from gantry.protocols.runtime_types import (
    DiskSpec,
    InstanceSpec,
    NicSpec,
    ParamValue,
    SocketConsole,
)
from gantry.runtime.environment import Environment
from gantry.runtime.real import real_environment

REPOSITORY = Path(__file__).parents[2]
BUSYBOX = REPOSITORY / "os" / "busybox"
GUEST_DEADLINE_SECONDS = 90.0
"""For anything that a guest does; generous, since nothing here measures."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = shutil.which("qemu-system-x86_64") is None
    reason = "QEMU is not installed: apt install qemu-system-x86"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.guest)
            if lacking:
                item.add_marker(pytest.mark.skip(reason=reason))


def script_environment(**variables: str) -> dict[str, str]:
    return {"PATH": "/sbin:/bin:/usr/sbin:/usr/bin", **variables}


@pytest.fixture(scope="session")
def boot_parameters() -> Mapping[str, ParamValue]:
    """The hypervisor parameters of busybox guests; makes their kernel and initrd."""
    program = [str(BUSYBOX / "boot-files"), "--build"]
    ended = subprocess.run(
        program, env=script_environment(), check=True, capture_output=True, text=True
    )
    values = dict(line.split("=", 1) for line in ended.stdout.splitlines())
    return {**values, "serial_console": values["serial_console"] == "True"}


@frozen
class Node:
    """One machine of the test, with a hypervisor."""

    environment: Environment
    address: str
    kvm: KvmHypervisor = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "kvm", KvmHypervisor(self.environment, self.address))

    def restarted(self) -> Node:
        """The same node as a restarted NodeD would see it."""
        return Node(self.environment, self.address)

    def serial(self, instance: str) -> str:
        """All that the guest has written on its console here."""
        log = self.environment.paths.logs / "kvm" / f"{instance}.serial.log"
        return log.read_text(errors="replace").replace("\r", "") if log.exists() else ""

    async def until(self, instance: str, pattern: str) -> re.Match[str]:
        """Wait until the guest has written something that matches."""
        with trio.fail_after(GUEST_DEADLINE_SECONDS):
            while True:
                if found := re.search(pattern, self.serial(instance)):
                    return found
                await trio.sleep(0.02)  # a file that another process writes has no event

    async def console(self, instance: str) -> trio.SocketStream:
        access = await self.kvm.console(instance)
        assert isinstance(access, SocketConsole)
        return await trio.open_unix_socket(access.path)


@pytest.fixture(scope="session")
def machine_facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the probe found out about this machine: once, not for each node of each test."""
    folder = tmp_path_factory.mktemp("facts")
    probing = make_node(folder, "probing", "127.0.0.2", folder, None)
    trio.run(probing.kvm.probe)
    return probing.environment.paths.run / "kvm-hypervisor" / "machine.json"


def make_node(folder: Path, name: str, address: str, shared: Path, facts: Path | None) -> Node:
    root = folder / name
    (root / "srv/ganeti").mkdir(parents=True)
    if facts is not None:
        known = root / "var/run/ganeti/kvm-hypervisor" / facts.name
        known.parent.mkdir(parents=True)
        shutil.copy(facts, known)
    (root / "srv/ganeti/shared-file-storage").symlink_to(shared)
    variables = {
        "GANTRY_ROOT": str(root),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    }
    return Node(real_environment(variables), address)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a name short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="gnt-") as folder:
        yield Path(folder)


@pytest.fixture
async def nodes(short_folder: Path, machine_facts: Path) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes on loopback addresses that share a folder for disks."""
    shared = short_folder / "shared"
    shared.mkdir()
    pair = (
        make_node(short_folder, "node1", "127.0.0.2", shared, machine_facts),
        make_node(short_folder, "node2", "127.0.0.3", shared, machine_facts),
    )
    yield pair
    with trio.CancelScope(shield=True):
        for each in pair:
            for found in await each.kvm.list():
                await each.kvm.stop(found.name, timeout_seconds=0, force=True)


@pytest.fixture
def node(nodes: tuple[Node, Node]) -> Node:
    return nodes[0]


def make_disk(node: Node, instance: str, tick: str) -> DiskSpec:
    """Make a disk with the shipped OS definition's create script."""
    path = f"/srv/ganeti/shared-file-storage/{instance}/disk0"
    disk = node.environment.paths.below(path)
    disk.parent.mkdir(parents=True)
    with disk.open("xb") as file:
        file.truncate(64 * 1024 * 1024)
    variables = script_environment(
        INSTANCE_NAME=instance, DISK_COUNT="1", DISK_0_PATH=str(disk), OSP_TICK=tick
    )
    subprocess.run(["./create"], cwd=BUSYBOX, env=variables, check=True)
    return DiskSpec(DiskUuid("d0000000-0000-4000-8000-000000000001"), 0, "sharedfile", 64, path)


def make_spec(
    node: Node, boot_parameters: Mapping[str, ParamValue], *, tick: str = "0.1"
) -> InstanceSpec:
    name = "guest1.example.com"
    return InstanceSpec(
        uuid=InstanceUuid("10000000-0000-4000-8000-000000000001"),
        name=name,
        hypervisor="kvm",
        os="busybox",
        minmem_mib=128,
        maxmem_mib=128,
        vcpus=1,
        primary_node=NodeUuid("a0000000-0000-4000-8000-000000000001"),
        disks=(make_disk(node, name, tick),),
        nics=(
            NicSpec(
                NicUuid("b0000000-0000-4000-8000-000000000001"),
                "aa:00:00:00:00:01",
                "bridged",
                "no-such-br",
            ),
        ),
        hvparams=boot_parameters,
    )
