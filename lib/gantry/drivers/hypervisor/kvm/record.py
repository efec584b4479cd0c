"""What a node keeps of each QEMU process, so that a restarted NodeD finds it again.

Below the node's ``var/run/ganeti/kvm-hypervisor``: ``pid/NAME`` (written by QEMU itself),
``conf/NAME.runtime`` (the record), ``ctrl/NAME.qmp`` and ``.serial`` (links to the sockets, which
live in the short run directory), ``nic/NAME/N`` (names of tap devices, for people and scripts).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.drivers.hypervisor.kvm.command import Sockets
from gantry.drivers.hypervisor.names import file_name
from gantry.drivers.network.backends import NicBackend, Tap
from gantry.protocols import codec
from gantry.protocols.runtime_types import Acceleration, DriverFailed, InstanceSpec
from gantry.runtime.environment import Environment
from gantry.runtime.paths import Paths

SUFFIX: Final = ".runtime"


@frozen
class KvmRecord:
    """One QEMU process: how it was started."""

    spec: InstanceSpec
    machine: str
    acceleration: Acceleration
    nics: tuple[NicBackend, ...]
    launched_at: float
    """Wall-clock seconds since the epoch."""
    start_ticks: int | None
    """When the process started, in clock ticks since boot: with the pid it names one process.
    ``None`` until that was seen."""
    incoming_uri: str | None = None
    """Set while the process waits for a migration."""
    runs_afterwards: bool = True
    """During a migration, on both sides: whether the guest is to run when it is over."""


@frozen
class KvmFiles:
    """The places of one node's QEMU processes."""

    environment: Environment

    @property
    def paths(self) -> Paths:
        """The node's paths."""
        return self.environment.paths

    @property
    def folder(self) -> Path:
        """Ganeti's folder of the KVM hypervisor."""
        return self.paths.run / "kvm-hypervisor"

    @property
    def logs(self) -> Path:
        """The folder of QEMU's own messages and of the serial consoles' logs."""
        return self.paths.logs / "kvm"

    def pid_file(self, instance: str) -> Path:
        """Where QEMU writes its process id."""
        return self.folder / "pid" / file_name(instance)

    def record(self, instance: str) -> Path:
        """Where the record is."""
        return self.folder / "conf" / (file_name(instance) + SUFFIX)

    def nic_folder(self, instance: str) -> Path:
        """Where the names of the tap devices are."""
        return self.folder / "nic" / file_name(instance)

    def log(self, instance: str) -> Path:
        """Where QEMU's messages go."""
        return self.logs / f"{file_name(instance)}.log"

    def serial_log(self, instance: str) -> Path:
        """Where everything goes that the guest writes on its serial console."""
        return self.logs / f"{file_name(instance)}.serial.log"

    def sockets(self, instance: str) -> Sockets:
        """Where a process listens; the names are short, since a socket address is."""
        short = hashlib.sha256(instance.encode()).hexdigest()[:12]
        actions, queries, serial = (
            self.paths.socket(f"kvm-{short}.{kind}") for kind in ("qmp", "query", "serial")
        )
        return Sockets(actions, queries, serial)

    def links(self, instance: str) -> dict[Path, Path]:
        """Return Ganeti's names of the sockets and what they link to."""
        sockets, folder = self.sockets(instance), self.folder / "ctrl"
        return {
            folder / f"{file_name(instance)}.qmp": sockets.actions,
            folder / f"{file_name(instance)}.serial": sockets.serial,
        }

    async def names(self) -> tuple[str, ...]:
        """Return the names of the instances that have a record."""
        names = await self.environment.files.list(self.folder / "conf")
        return tuple(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))

    async def load(self, instance: str) -> KvmRecord | None:
        """Return an instance's record, if there is one.

        Raises:
            DriverFailed: the file is broken.
        """
        path = self.record(instance)
        try:
            data = await self.environment.files.read(path)
        except FileNotFoundError:
            return None
        try:
            return codec.load(KvmRecord, codec.from_bytes(data))
        except codec.Malformed as error:
            raise DriverFailed(f"record {path}", str(error)) from None

    async def store(self, record: KvmRecord) -> None:
        """Write a record, durably, with the links and names that go with it."""
        files, name = self.environment.files, record.spec.name
        await files.write(self.record(name), codec.to_bytes(codec.dump(record)), 0o600)
        for index, nic in enumerate(record.nics):
            if isinstance(nic, Tap):
                await files.make_folder(self.nic_folder(name))
                await files.write(self.nic_folder(name) / str(index), nic.device.encode())

    async def prepare(self, instance: str) -> None:
        """Make the folders and the links to the sockets to be."""
        files = self.environment.files
        for folder in ("pid", "conf", "ctrl", "nic"):
            await files.make_folder(self.folder / folder)
        await files.make_folder(self.logs)
        await files.make_folder(self.paths.sockets, 0o700)
        for link, target in self.links(instance).items():
            await files.link(link, target)

    async def forget(self, instance: str) -> None:
        """Remove all files of an instance but its logs; its process must be gone."""
        files, sockets = self.environment.files, self.sockets(instance)
        await files.remove_tree(self.nic_folder(instance))
        for path in (
            *self.links(instance),
            *(sockets.actions, sockets.queries, sockets.serial),
            self.pid_file(instance),
            self.record(instance),  # last: while it is there, the rest is found
        ):
            await files.remove(path)
