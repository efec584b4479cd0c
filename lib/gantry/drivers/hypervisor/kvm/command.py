"""QEMU's command line, as data: pure."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import orjson
from attrs import frozen

from gantry.drivers.hypervisor.kvm.parameters import DISK_DEVICES
from gantry.drivers.network.backends import NicBackend, Tap
from gantry.protocols.parameters.kvm import KvmParameters
from gantry.protocols.runtime_types import Acceleration, InstanceSpec

TRANSLATION_BUFFER_MIB: Final = 32
"""TCG's cache; QEMU's own default reserves a quarter of the host's memory for each guest."""

_NIC_DEVICES: Final = {"paravirtual": "virtio-net-pci"}


@frozen
class Sockets:
    """Where the process listens."""

    actions: Path
    """A QMP monitor for what changes something, held as long as an action takes."""
    queries: Path
    """A QMP monitor for questions, so that these never wait for an action."""
    serial: Path


@frozen
class Launch:
    """All that a QEMU process is told at its start."""

    program: Path
    spec: InstanceSpec
    parameters: KvmParameters
    acceleration: Acceleration
    machine: str
    disks: tuple[Path, ...]
    """Parallel to the instance's disks: paths of this machine."""
    nics: tuple[NicBackend, ...]
    """Parallel to the instance's NICs."""
    kernel: Path | None
    initrd: Path | None
    cdrom: Path | None
    sockets: Sockets
    pid_file: Path
    serial_log: Path
    paused: bool = False
    incoming: bool = False
    """Wait for a migration; its address comes later, by QMP."""


def command_line(launch: Launch) -> tuple[str, ...]:
    """Return program and arguments."""
    return (
        str(launch.program),
        *_machine(launch),
        *_monitors(launch),
        *_boot(launch),
        *_disks(launch),
        *_nics(launch),
        *shlex.split(launch.parameters.kvm_extra),
    )


def _option(*parts: str) -> str:
    """Join the parts of an option; QEMU wants a comma inside of a part doubled."""
    return ",".join(part.replace(",", ",,") for part in parts)


def _machine(launch: Launch) -> tuple[str, ...]:
    spec, p = launch.spec, launch.parameters
    acceleration = f"tcg,tb-size={TRANSLATION_BUFFER_MIB}"
    arguments = [
        "-name",
        _option(spec.name),
        *("-uuid", spec.uuid),
        *("-accel", "kvm" if launch.acceleration == "kvm" else acceleration),
        *("-machine", launch.machine if p.acpi else f"{launch.machine},acpi=off"),
        *("-m", str(spec.maxmem_mib)),
        *("-smp", _smp(spec.vcpus, p)),
        *("-nodefaults", "-no-user-config"),
        *("-display", "none"),
        *("-rtc", "base=localtime" if p.use_localtime else "base=utc"),
        *("-pidfile", str(launch.pid_file)),
        *("-device", "virtio-balloon-pci,id=balloon0"),
    ]
    if p.cpu_type:
        arguments += "-cpu", p.cpu_type
    if p.mem_path:
        arguments += "-mem-path", p.mem_path
    if p.vga:
        arguments += "-vga", p.vga
    if p.reboot_behavior == "exit":
        arguments.append("-no-reboot")
    if p.user_shutdown:
        arguments += "-action", "shutdown=pause"
    if launch.paused:
        arguments.append("-S")
    if launch.incoming:
        arguments += "-incoming", "defer"
    return tuple(arguments)


def _smp(vcpus: int, p: KvmParameters) -> str:
    topology = {"sockets": p.cpu_sockets, "cores": p.cpu_cores, "threads": p.cpu_threads}
    return ",".join([str(vcpus), *(f"{name}={count}" for name, count in topology.items() if count)])


def _monitors(launch: Launch) -> tuple[str, ...]:
    sockets = launch.sockets
    arguments: list[str] = []
    for name, path in (("actions", sockets.actions), ("queries", sockets.queries)):
        arguments += "-chardev", _option("socket", f"id={name}", f"path={path}", *_LISTENING)
        arguments += "-mon", f"chardev={name},mode=control"
    if launch.parameters.serial_console:
        log = (f"logfile={launch.serial_log}", "logappend=on")
        serial = ("socket", "id=serial", f"path={sockets.serial}", *_LISTENING, *log)
        arguments += "-chardev", _option(*serial), "-serial", "chardev:serial"
    return tuple(arguments)


_LISTENING: Final = ("server=on", "wait=off")


def _boot(launch: Launch) -> tuple[str, ...]:
    p = launch.parameters
    if launch.kernel is None:
        return ()
    root = () if not p.root_path else (f"root={p.root_path}",)
    serial = (f"console=ttyS0,{p.serial_speed}",) if p.serial_console else ()
    appended = " ".join((*root, *p.kernel_args.split(), *serial))
    initrd = () if launch.initrd is None else ("-initrd", str(launch.initrd))
    return ("-kernel", str(launch.kernel), *initrd, "-append", appended)


def _bypasses_cache(p: KvmParameters, *, shared: bool) -> bool:
    """Whether the host's cache is bypassed: it must be where another node has its own."""
    return shared if p.disk_cache == "default" else p.disk_cache == "none"


def _disks(launch: Launch) -> tuple[str, ...]:
    p, arguments = launch.parameters, list[str]()
    from_kernel = launch.kernel is not None
    if DISK_DEVICES[p.disk_type] == "scsi-hd" and launch.disks:
        arguments += "-device", f"{p.scsi_controller_type},id=scsi0"
    for disk, path in zip(launch.spec.disks, launch.disks, strict=True):
        direct = _bypasses_cache(p, shared=disk.template == "sharedfile")
        node = f"disk{disk.index}"
        image = {
            "driver": "file",
            "filename": str(path),
            "cache": {"direct": direct, "no-flush": False},
            "aio": p.disk_aio,
            "locking": "auto",
        }
        discard = "unmap" if p.disk_discard == "unmap" else "ignore"
        block = {"driver": "raw", "node-name": node, "read-only": disk.mode == "ro"}
        arguments += "-blockdev", _json(block | {"discard": discard, "file": image})
        first = disk.index == 0 and p.boot_order == "disk" and not from_kernel
        arguments += "-device", _disk_device(p, disk.index, boot=first)
    if launch.cdrom is not None:
        source = {"driver": "file", "filename": str(launch.cdrom)}
        block = {"driver": "raw", "node-name": "cdrom", "read-only": True}
        arguments += "-blockdev", _json(block | {"file": source})
        boot = ("bootindex=0",) if p.boot_order == "cdrom" else ()
        arguments += "-device", ",".join(("ide-cd", "drive=cdrom", "id=cdrom0", *boot))
    return tuple(arguments)


def _disk_device(p: KvmParameters, index: int, *, boot: bool) -> str:
    parts = [
        DISK_DEVICES[p.disk_type],
        f"drive=disk{index}",
        f"id=hd{index}",
        f"write-cache={'off' if p.disk_cache == 'writethrough' else 'on'}",
    ]
    if boot:
        parts.append("bootindex=0")
    return ",".join(parts)


def _nics(launch: Launch) -> tuple[str, ...]:
    p, arguments = launch.parameters, list[str]()
    model = _NIC_DEVICES.get(p.nic_type, p.nic_type)
    for index, (nic, backend) in enumerate(zip(launch.spec.nics, launch.nics, strict=True)):
        if isinstance(backend, Tap):
            vhost = "on" if p.vhost_net else "off"
            scripts = "script=no,downscript=no"
            netdev = f"tap,id=net{index},ifname={backend.device},{scripts},vhost={vhost}"
        else:
            netdev = f"user,id=net{index}"
        boot = ",bootindex=0" if p.boot_order == "network" and index == 0 else ""
        device = f"{model},netdev=net{index},id=nic{index},mac={nic.mac}{boot}"
        arguments += "-netdev", netdev, "-device", device
    return tuple(arguments)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
