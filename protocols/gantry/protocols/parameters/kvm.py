"""The parameters of the hypervisor kvm."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from attrs import frozen

from gantry.protocols.parameters.parameter_set import ParameterSet
from gantry.protocols.values import (
    AbsolutePath,
    Constraint,
    NonNegative,
    PathOrNothing,
    Port,
    Positive,
)

MigrationMode = Literal["live", "non-live"]
RebootBehavior = Literal["reboot", "exit"]

KvmDiskType = Literal[
    "ide",
    "mtd",
    "paravirtual",
    "pflash",
    "scsi",
    "scsi-block",
    "scsi-cd",
    "scsi-generic",
    "scsi-hd",
    "sd",
]
KvmNicType = Literal[
    "e1000",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "paravirtual",
    "pcnet",
    "rtl8139",
]
Queues = Annotated[int, Constraint("a number of queues from 1 to 8", lambda value: 1 <= value <= 8)]


@frozen(kw_only=True)
class KvmParameters(ParameterSet):
    """How QEMU runs an instance; an empty text means that QEMU's own default holds."""

    SUBJECT: ClassVar[str] = "hypervisor kvm"

    # the machine
    kvm_path: AbsolutePath = "/usr/bin/kvm"
    kvm_flag: Literal["", "enabled", "disabled"] = ""
    kvm_extra: str = ""
    """More arguments for QEMU."""
    machine_version: str = ""
    cpu_type: str = ""
    cpu_cores: NonNegative = 0
    """0, here and for sockets and threads: as QEMU likes."""
    cpu_sockets: NonNegative = 0
    cpu_threads: NonNegative = 0
    cpu_mask: str = "all"
    """The host's processors to run on; with colons between those of each virtual one."""
    acpi: bool = True
    mem_path: PathOrNothing = ""
    """Where huge pages are mounted."""
    use_localtime: bool = False
    use_guest_agent: bool = False
    user_shutdown: bool = False
    """Leave an instance stopped whose guest powered itself off."""
    reboot_behavior: RebootBehavior = "reboot"
    kvm_pci_reservations: NonNegative = 12
    """PCI slots kept for what QEMU adds by itself."""

    # booting
    boot_order: Literal["cdrom", "disk", "floppy", "network"] = "disk"
    kernel_path: PathOrNothing = "/boot/vmlinuz-3-kvmU"
    """Nothing: the guest boots from its own disk."""
    initrd_path: PathOrNothing = ""
    kernel_args: str = "ro"
    root_path: str | None = "/dev/vda1"
    serial_console: bool = True
    serial_speed: Positive = 38400

    # disks and removable media
    disk_type: KvmDiskType = "paravirtual"
    disk_cache: Literal["default", "none", "writeback", "writethrough"] = "default"
    disk_aio: Literal["io_uring", "native", "threads"] = "threads"
    """``io_uring`` is known to Ganeti 3.1 and later."""
    disk_discard: Literal["default", "ignore", "unmap"] = "default"
    scsi_controller_type: Literal["lsi", "megasas", "virtio-scsi-pci"] = "lsi"
    cdrom_image_path: str = ""
    """A file or a URL."""
    cdrom2_image_path: str = ""
    cdrom_disk_type: Literal[""] | KvmDiskType = ""
    floppy_image_path: PathOrNothing = ""

    # network interfaces
    nic_type: KvmNicType = "paravirtual"
    vhost_net: bool = False
    vnet_hdr: bool = True
    virtio_net_queues: Queues = 1

    # display, sound and input
    vga: str = ""
    keymap: str = ""
    soundhw: str = ""
    usb_mouse: Literal["", "mouse", "tablet"] = ""
    usb_devices: str = ""
    vnc_bind_address: str = ""
    """An address, a network interface, or an absolute path for a unix socket."""
    vnc_password_file: PathOrNothing = ""
    vnc_tls: bool = False
    vnc_x509_path: PathOrNothing = ""
    vnc_x509_verify: bool = False
    spice_bind: str = ""
    spice_ip_version: Literal[0, 4, 6] = 0
    """0: whatever the address is."""
    spice_password_file: PathOrNothing = ""
    spice_image_compression: Literal["", "auto_glz", "auto_lz", "glz", "lz", "off", "quic"] = ""
    spice_jpeg_wan_compression: Literal["", "always", "auto", "never"] = ""
    spice_zlib_glz_wan_compression: Literal["", "always", "auto", "never"] = ""
    spice_streaming_video: Literal["", "all", "filter", "off"] = ""
    spice_playback_compression: bool = True
    spice_use_tls: bool = False
    spice_tls_ciphers: str = "HIGH:-DES:-3DES:-EXPORT:-DH"
    spice_use_vdagent: bool = True

    # who QEMU runs as
    security_model: Literal["none", "pool", "user"] = "none"
    security_domain: str = ""
    """The user, for the model ``user``."""
    use_chroot: bool = False

    # migration
    migration_mode: MigrationMode = "live"
    migration_port: Port = 8102
    migration_bandwidth: NonNegative = 32
    """In MiB/s; 0: no limit."""
    migration_downtime: NonNegative = 30
    """For how many milliseconds the guest may stand still at the end."""
    migration_caps: str = ""
    """QEMU migration capabilities to switch on, with colons between them."""
