"""Finding QEMU processes again, where the answer does not need a QEMU."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest
from attrs import evolve, frozen
from typing_extensions import override

from gantry.drivers.hypervisor.kvm.driver import KvmHypervisor
from gantry.drivers.hypervisor.kvm.machines import Machines
from gantry.drivers.hypervisor.kvm.processes import process_times
from gantry.drivers.hypervisor.kvm.record import KvmFiles, KvmRecord
from gantry.drivers.network.backends import Tap, UserMode
from gantry.protocols.runtime_types import DriverFailed, InstanceSpec, MachineLacks, PathRefused
from gantry.runtime.environment import Environment
from gantry.runtime.processes import RealProcesses


@pytest.fixture
def kvm(environment: Environment) -> KvmHypervisor:
    return KvmHypervisor(environment, "127.0.0.2")


@pytest.fixture
def record(spec: InstanceSpec) -> KvmRecord:
    return KvmRecord(spec, "pc-q35-7.2", "tcg", (UserMode(),), launched_at=7.0, start_ticks=12345)


async def test_a_pid_that_was_given_to_another_process(
    kvm: KvmHypervisor, record: KvmRecord
) -> None:
    files, name = kvm.machines.files, record.spec.name
    await files.prepare(name)
    await files.store(record)
    await kvm.environment.files.write(files.pid_file(name), f"{os.getpid()}\n".encode())
    found = await kvm.find(name)
    assert found is not None
    assert (found.state, found.started_at) == ("crashed", None)

    times = await process_times(kvm.environment.files, os.getpid())
    assert times is not None
    await files.store(evolve(record, start_ticks=times.start_ticks))
    found = await kvm.find(name)  # it has no monitor, but it is the process: it counts as running
    assert found is not None
    assert (found.state, found.started_at) == ("running", 7.0)


async def test_cleanup_removes_what_a_dead_process_left(
    kvm: KvmHypervisor, record: KvmRecord
) -> None:
    files, name = kvm.machines.files, record.spec.name
    await files.prepare(name)
    await files.store(record)
    assert await files.names() == (name,)
    await kvm.cleanup(name)
    await kvm.cleanup(name)
    assert await kvm.list() == ()
    left = [path for path in files.folder.rglob("*") if not path.is_dir()]
    assert left == []


async def test_a_start_that_a_full_disk_ends_leaves_no_process(
    kvm: KvmHypervisor, record: KvmRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process lives already when its start time can not be noted any more."""
    files, name = kvm.machines.files, record.spec.name
    unseen = evolve(record, start_ticks=None)
    await files.prepare(name)
    await files.store(unseen)

    async def full(_: KvmFiles, __: KvmRecord) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def answers(_: Machines, __: KvmRecord) -> bool:
        return True

    with subprocess.Popen(["sleep", "600"]) as started:  # noqa: ASYNC220 - it starts at once
        await kvm.environment.files.write(files.pid_file(name), f"{started.pid}\n".encode())
        monkeypatch.setattr(KvmFiles, "store", full)
        monkeypatch.setattr(Machines, "_answers", answers)
        try:
            await kvm.machines.end(unseen)
            assert started.wait() == -signal.SIGKILL
        finally:
            started.kill()
    assert await files.names() == ()


async def test_the_record_names_the_taps(kvm: KvmHypervisor, record: KvmRecord) -> None:
    record = evolve(record, nics=(Tap("gnt00000000.0", "br0"),))
    files = kvm.machines.files
    await files.prepare(record.spec.name)
    await files.store(record)
    assert await files.load(record.spec.name) == record
    name = await kvm.environment.files.read(files.nic_folder(record.spec.name) / "0")
    assert name == b"gnt00000000.0"


async def test_a_broken_record_is_named(kvm: KvmHypervisor, record: KvmRecord) -> None:
    files = kvm.machines.files
    await files.prepare(record.spec.name)
    await kvm.environment.files.write(files.record(record.spec.name), b"{}")
    with pytest.raises(DriverFailed, match=r"web1\.example\.com\.runtime"):
        await kvm.list()


@pytest.mark.parametrize("name", ["../../etc/passwd", "", ".x", "a b"])
async def test_names_that_are_no_file_names(kvm: KvmHypervisor, name: str) -> None:
    with pytest.raises(PathRefused):
        await kvm.find(name)


@frozen
class WithoutPrograms(RealProcesses):
    """A machine on which nothing is installed."""

    @override
    def find(self, program: str) -> Path | None:
        return None


async def test_without_qemu(environment: Environment, spec: InstanceSpec) -> None:
    bare = KvmHypervisor(evolve(environment, processes=WithoutPrograms()), "127.0.0.2")
    probe = await bare.probe()
    assert not probe.usable
    spec = evolve(spec, hypervisor="kvm", hvparams={})
    with pytest.raises(MachineLacks, match="apt install qemu-system-x86"):
        await bare.start(spec)
    with pytest.raises(MachineLacks):
        await bare.accept(spec)
    assert await bare.list() == ()
