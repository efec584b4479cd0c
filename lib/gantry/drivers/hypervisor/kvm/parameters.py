"""Which of KVM's hypervisor parameters this driver honours.

Honoured: ``acpi``, ``boot_order`` (but for ``floppy``), ``cdrom_image_path``, ``cpu_cores``,
``cpu_sockets``, ``cpu_threads``, ``cpu_type``, ``disk_aio``, ``disk_cache``, ``disk_discard``,
``disk_type`` (``paravirtual``, ``ide``, ``scsi``, ``scsi-hd``), ``initrd_path``, ``kernel_args``,
``kernel_path``, ``kvm_extra``, ``kvm_path``, ``machine_version``, ``mem_path``, ``migration_*``,
``nic_type``, ``reboot_behavior``, ``root_path``, ``scsi_controller_type``, ``serial_console``,
``serial_speed``, ``use_localtime``, ``user_shutdown``, ``vga``, ``vhost_net``. The others (VNC,
SPICE, sound, USB, floppy, second CD, CPU pinning, chroot, users) have no effect.

Some have a meaning of their own:

- ``kvm_path``: if there is no such program, ``qemu-system-x86_64`` of the search path is used.
- ``disk_cache``: ``default`` means no host cache where another node may open the same file
  (``sharedfile``), and write-back elsewhere.
- ``machine_version``: empty means QEMU's newest q35 machine.
- ``kernel_path``, ``initrd_path``, ``cdrom_image_path``: looked for below the node's root, then on
  the machine.
- ``migration_port``: what a target tries first; if it is taken, any free port.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gantry.protocols.parameters.kvm import KvmDiskType, KvmParameters
from gantry.protocols.parameters.parameter_set import BadParameter, fill
from gantry.protocols.runtime_types import DriverFailed, ParamValue

DISK_DEVICES: Final[Mapping[KvmDiskType, str]] = {
    "paravirtual": "virtio-blk-pci",
    "ide": "ide-hd",
    "scsi": "scsi-hd",
    "scsi-hd": "scsi-hd",
}
"""QEMU's device for each disk type that is supported."""


def parse(hvparams: Mapping[str, ParamValue]) -> KvmParameters:
    """Read a filled parameter dictionary.

    Raises:
        DriverFailed: a parameter does not exist, has a wrong value, or one that is not supported.
    """
    try:
        p = fill(KvmParameters, hvparams)
    except BadParameter as error:
        raise DriverFailed(error.subject, f"parameter {error.parameter}: {error.reason}") from None
    if p.disk_type not in DISK_DEVICES:
        supported = ", ".join(sorted(DISK_DEVICES))
        problem = f"{p.disk_type} is not supported; use one of {supported}"
        raise DriverFailed(p.SUBJECT, f"parameter disk_type: {problem}")
    if p.boot_order == "floppy":
        raise DriverFailed(p.SUBJECT, "parameter boot_order: floppy is not supported")
    return p
