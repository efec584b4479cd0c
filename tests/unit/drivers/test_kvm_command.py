"""QEMU's command line, compared with golden files.

``GANTRY_GOLDEN=write pytest THIS_FILE`` writes them anew; review the difference.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from attrs import evolve

from gantry.drivers.hypervisor.kvm import parameters
from gantry.drivers.hypervisor.kvm.command import Launch, Sockets, command_line
from gantry.drivers.network.backends import Tap, UserMode
from gantry.protocols.identity import DiskUuid, InstanceUuid, NicUuid, NodeUuid
from gantry.protocols.runtime_types import DiskSpec, DriverFailed, InstanceSpec, NicSpec

GOLDEN = Path(__file__).parent / "golden"

SPEC = InstanceSpec(
    uuid=InstanceUuid("5b1c1f0e-0000-4000-8000-000000000001"),
    name="web1.example.com",
    hypervisor="kvm",
    os="busybox",
    minmem_mib=128,
    maxmem_mib=256,
    vcpus=2,
    primary_node=NodeUuid("a0000000-0000-4000-8000-000000000001"),
    disks=(
        DiskSpec(DiskUuid("d0"), 0, "sharedfile", 1024, "/srv/shared/web1/disk0"),
        DiskSpec(DiskUuid("d1"), 1, "file", 64, "/srv/file/web1/disk1", mode="ro"),
    ),
    nics=(
        NicSpec(NicUuid("n0"), "aa:00:00:00:00:01", "bridged", "br0"),
        NicSpec(NicUuid("n1"), "aa:00:00:00:00:02", "routed", "100"),
    ),
)

LAUNCH = Launch(
    program=Path("/usr/bin/kvm"),
    spec=SPEC,
    parameters=parameters.parse({}),
    acceleration="tcg",
    machine="pc-q35-7.2",
    disks=(Path("/srv/shared/web1/disk0"), Path("/srv/file/web1/disk1")),
    nics=(Tap("gnt01234567.0", "br0"), UserMode()),
    kernel=Path("/boot/vmlinuz"),
    initrd=Path("/boot/initrd"),
    cdrom=None,
    sockets=Sockets(Path("/run/g/a.qmp"), Path("/run/g/a.query"), Path("/run/g/a.serial")),
    pid_file=Path("/var/run/ganeti/kvm-hypervisor/pid/web1.example.com"),
    serial_log=Path("/var/log/ganeti/kvm/web1.example.com.serial.log"),
)

FROM_DISK = evolve(
    LAUNCH,
    acceleration="kvm",
    kernel=None,
    initrd=None,
    cdrom=Path("/srv/iso/debian.iso"),
    incoming=True,
    parameters=parameters.parse(
        {
            "acpi": False,
            "boot_order": "disk",
            "cpu_cores": 2,
            "cpu_type": "host",
            "disk_cache": "writethrough",
            "disk_discard": "unmap",
            "disk_type": "scsi-hd",
            "kvm_extra": "-smbios 'type=1,serial=a b'",
            "mem_path": "/dev/hugepages",
            "nic_type": "e1000",
            "reboot_behavior": "exit",
            "scsi_controller_type": "virtio-scsi-pci",
            "serial_console": False,
            "use_localtime": True,
            "user_shutdown": True,
            "vga": "std",
            "vhost_net": True,
        }
    ),
)


def readable(argv: tuple[str, ...]) -> str:
    """One option with its value on each line."""
    lines: list[str] = []
    for word in argv:
        if word.startswith("-") or not lines or not lines[-1].startswith("-"):
            lines.append(shlex.quote(word))
        else:
            lines[-1] += " " + shlex.quote(word)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("name", "launch"), [("kernel-boot", LAUNCH), ("disk-boot-incoming", FROM_DISK)]
)
def test_command_line(name: str, launch: Launch) -> None:
    golden = GOLDEN / f"{name}.txt"
    actual = readable(command_line(launch))
    if os.environ.get("GANTRY_GOLDEN") == "write":
        golden.write_text(actual)
    assert actual == golden.read_text()


def test_a_comma_in_a_path_does_not_end_an_option() -> None:
    sockets = evolve(LAUNCH.sockets, serial=Path("/run/a,b/serial"))
    (serial,) = (w for w in command_line(evolve(LAUNCH, sockets=sockets)) if "id=serial" in w)
    assert "path=/run/a,,b/serial," in serial


def test_a_paused_start() -> None:
    assert "-S" in command_line(evolve(LAUNCH, paused=True))
    assert "-S" not in command_line(LAUNCH)


@pytest.mark.parametrize(
    ("hvparams", "problem"),
    [
        ({"disk_type": "pflash"}, "disk_type: pflash is not supported"),
        ({"boot_order": "floppy"}, "floppy is not supported"),
        ({"acpi": "yes"}, "acpi"),
        ({"no_such": 1}, "no_such"),
    ],
)
def test_parameters_that_can_not_be_honoured(
    hvparams: dict[str, bool | int | str], problem: str
) -> None:
    with pytest.raises(DriverFailed, match=problem):
        parameters.parse(hvparams)
