"""The parameters of the hypervisors xen-pvm and xen-hvm."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from attrs import frozen

from gantry.protocols.parameters.parameter_set import ParameterSet
from gantry.protocols.values import AbsolutePath, Constraint, NonNegative, PathOrNothing, Port

MigrationMode = Literal["live", "non-live"]
RebootBehavior = Literal["reboot", "exit"]
XenCommand = Literal["xl", "xm"]

CpuWeight = Annotated[int, Constraint("a weight from 1 to 65534", lambda value: 0 < value < 65535)]
BootDevices = Annotated[
    str,
    Constraint("some of the letters a, c, d, n", lambda value: value and not value.strip("acdn")),
]


@frozen(kw_only=True)
class XenPvmParameters(ParameterSet):
    """How Xen runs a paravirtual instance."""

    SUBJECT: ClassVar[str] = "hypervisor xen-pvm"

    use_bootloader: bool = False
    bootloader_path: PathOrNothing = ""
    bootloader_args: str = ""
    kernel_path: AbsolutePath = "/boot/vmlinuz-3-xenU"
    initrd_path: PathOrNothing = ""
    root_path: str | None = "/dev/xvda1"
    kernel_args: str = "ro"
    blockdev_prefix: str = "sd"
    """How the guest's disks are called, before their letter."""
    migration_port: Port = 8002
    migration_mode: MigrationMode = "live"
    reboot_behavior: RebootBehavior = "reboot"
    cpu_mask: str = "all"
    cpu_cap: NonNegative = 0
    """Per cent of one processor that it may use; 0: no limit."""
    cpu_weight: CpuWeight = 256
    vif_script: PathOrNothing = ""
    xen_cmd: XenCommand = "xm"
    cpuid: str = ""
    soundhw: str = ""


@frozen(kw_only=True)
class XenHvmParameters(ParameterSet):
    """How Xen runs a fully virtual instance."""

    SUBJECT: ClassVar[str] = "hypervisor xen-hvm"

    boot_order: BootDevices = "cd"
    cdrom_image_path: str = ""
    nic_type: Literal["e1000", "ne2k_isa", "ne2k_pci", "paravirtual", "rtl8139"] = "rtl8139"
    disk_type: Literal["ioemu", "paravirtual"] = "paravirtual"
    vnc_bind_address: str = "0.0.0.0"
    vnc_password_file: PathOrNothing = "/etc/ganeti/vnc-cluster-password"
    acpi: bool = True
    pae: bool = True
    kernel_path: AbsolutePath = "/usr/lib/xen/boot/hvmloader"
    device_model: AbsolutePath = "/usr/lib/xen/bin/qemu-dm"
    migration_port: Port = 8002
    migration_mode: MigrationMode = "non-live"
    use_localtime: bool = False
    blockdev_prefix: str = "hd"
    pci_pass: str = ""
    """PCI devices that the guest gets, with semicolons between them."""
    reboot_behavior: RebootBehavior = "reboot"
    cpu_mask: str = "all"
    cpu_cap: NonNegative = 0
    cpu_weight: CpuWeight = 256
    vif_type: Literal["ioemu", "vif"] = "ioemu"
    vif_script: PathOrNothing = ""
    viridian: bool = False
    """Offer the interfaces that Windows guests like."""
    xen_cmd: XenCommand = "xm"
    cpuid: str = ""
    soundhw: str = ""
