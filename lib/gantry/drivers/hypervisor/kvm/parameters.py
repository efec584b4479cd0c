"""KVM's hypervisor parameters, as far as this driver honours them.

Names, types and defaults are Ganeti's. Parameters of Ganeti that are not listed here (VNC, SPICE,
sound, USB, chroot, floppy, NUMA, CPU pinning) are accepted in the configuration and have no effect.
Three have a meaning of their own:

- ``kvm_path``: if there is no such program, ``qemu-system-x86_64`` of the search path is used.
- ``disk_cache``: ``default`` means no host cache where another node may open the same file
  (``sharedfile``), and QEMU's default elsewhere.
- ``machine_version``: empty means QEMU's newest q35 machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from gantry.protocols import codec
from gantry.protocols.runtime_types import DriverFailed, ParamValue

DiskType = Literal["paravirtual", "ide", "ioemu", "scsi-hd"]
DiskCache = Literal["default", "none", "writethrough", "writeback", "directsync", "unsafe"]
NicType = Literal["paravirtual", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "i82551"]


@attrs.frozen
class KvmParameters:
    """How an instance's machine is to be built and moved."""

    acpi: bool = True
    boot_order: Literal["disk", "cdrom", "network"] = "disk"
    cdrom_image_path: str = ""
    cpu_cores: int = 0
    cpu_sockets: int = 0
    cpu_threads: int = 0
    cpu_type: str = ""
    disk_aio: Literal["threads", "native", "io_uring"] = "threads"
    disk_cache: DiskCache = "default"
    disk_discard: Literal["default", "ignore", "unmap"] = "default"
    disk_type: DiskType = "paravirtual"
    initrd_path: str = ""
    kernel_args: str = "ro"
    kernel_path: str = "/boot/vmlinuz-3-kvmU"
    """Empty: the instance boots from its disk."""
    kvm_extra: str = ""
    """More arguments for QEMU, split as a shell would."""
    kvm_path: str = "/usr/bin/kvm"
    machine_version: str = ""
    mem_path: str = ""
    migration_bandwidth: int = 32
    """MiB per second."""
    migration_caps: str = ""
    """QEMU's migration capabilities, separated by colons."""
    migration_downtime: int = 30
    """Milliseconds."""
    migration_port: int = 8102
    """The port that a target tries first."""
    nic_type: NicType = "paravirtual"
    reboot_behavior: Literal["reboot", "exit"] = "reboot"
    root_path: str | None = "/dev/vda1"
    serial_console: bool = True
    serial_speed: int = 38400
    use_localtime: bool = False
    user_shutdown: bool = False
    """Keep a machine whose guest powered off, so that it is told apart from one that died."""
    vga: str = ""
    vhost_net: bool = False


_KNOWN: Final = frozenset(field.name for field in attrs.fields(KvmParameters))
_CONVERTER: Final = codec.new_converter()


def parse(hvparams: Mapping[str, ParamValue]) -> KvmParameters:
    """Read a filled parameter dictionary.

    Raises:
        DriverFailed: a value has the wrong type, or one that this driver does not support.
    """
    known = {name: value for name, value in hvparams.items() if name in _KNOWN}
    try:
        return codec.load(KvmParameters, known, _CONVERTER)
    except codec.Malformed as error:
        raise DriverFailed("kvm parameters", str(error)) from None
