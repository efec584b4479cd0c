"""The ``be/...`` and ``hv/...`` fields of instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gantry.core.query.fields import UNAVAIL, Field, present
from gantry.core.query.instance_row import InstanceRow
from gantry.protocols.query import NORMAL, Cell, Kind

_BACKEND: Final[tuple[tuple[str, str, str, Kind, str], ...]] = (
    ("always_failover", "be/always_failover", "always_failover", "bool",
     "Whether it is never migrated live"),
    ("auto_balance", "Auto_balance", "auto_balance", "bool",
     "Whether its memory is kept free on the secondary node"),
    ("maxmem", "ConfigMaxMem", "maxmem", "unit", "The most memory that it may have"),
    ("memory", "ConfigMaxMem", "maxmem", "unit", "The most memory that it may have"),
    ("minmem", "ConfigMinMem", "minmem", "unit", "The least memory that it needs"),
    ("spindle_use", "be/spindle_use", "spindle_use", "number", "Load on a spindle"),
    ("vcpus", "ConfigVCPUs", "vcpus", "number", "Number of virtual processors"),
)  # fmt: skip
"""Field, title, parameter, kind, and what it is."""

_SWITCHES: Final = """
acpi pae serial_console spice_playback_compression spice_use_tls spice_use_vdagent use_bootloader
use_chroot use_guest_agent use_localtime user_shutdown vhost_net viridian vnc_tls vnc_x509_verify
vnet_hdr
""".split()  # noqa: SIM905 - as a list it would be one name a line

_NUMBERS: Final = """
cpu_cap cpu_cores cpu_sockets cpu_threads cpu_weight kvm_pci_reservations migration_downtime
num_ttys serial_speed spice_ip_version startup_timeout virtio_net_queues
""".split()  # noqa: SIM905 - as a list it would be one name a line

_TEXTS: Final = """
blockdev_prefix boot_order bootloader_args bootloader_path cdrom2_image_path cdrom_disk_type
cdrom_image_path cpu_mask cpu_type cpuid device_model devices disk_aio disk_cache disk_discard
disk_type drop_capabilities extra_cgroups extra_config floppy_image_path init_script initrd_path
kernel_args kernel_path keymap kvm_extra kvm_flag kvm_path machine_version mem_path migration_caps
nic_type pci_pass reboot_behavior root_path scsi_controller_type security_domain security_model
soundhw spice_bind spice_image_compression spice_jpeg_wan_compression spice_password_file
spice_streaming_video spice_tls_ciphers spice_zlib_glz_wan_compression usb_devices usb_mouse vga
vif_script vif_type vnc_bind_address vnc_password_file vnc_x509_path
""".split()  # noqa: SIM905 - as a list it would be one name a line

_TITLES: Final = {
    "acpi": "ACPI",
    "boot_order": "Boot_order",
    "cdrom_image_path": "CDROM_image_path",
    "cpu_type": "cpu_type",
    "disk_type": "Disk_type",
    "initrd_path": "Initrd_path",
    "kernel_path": "Kernel_path",
    "nic_type": "NIC_type",
    "pae": "PAE",
    "pci_pass": "pci_pass",
    "vnc_bind_address": "VNC_bind_address",
}
"""The titles of the fields that have another one than their name."""


def backend_fields() -> Iterator[Field[InstanceRow]]:
    """Yield the fields of back-end parameters."""
    yield Field("beparams", "BackendParameters", "other", "Back-end parameters, of all layers",
                lambda r: (0, r.beparams))  # fmt: skip
    for name, title, parameter, kind, doc in _BACKEND:
        yield Field(f"be/{name}", title, kind, doc, _backend(parameter))


def _backend(name: str) -> Callable[[InstanceRow], Cell]:
    return lambda row: present(row.beparams.get(name))


def hypervisor_fields() -> Iterator[Field[InstanceRow]]:
    """Yield the fields of hypervisor parameters."""
    yield Field("hvparams", "HypervisorParameters", "other",
                "Hypervisor parameters, of all layers", lambda r: (0, r.hvparams))  # fmt: skip
    groups: tuple[tuple[Kind, list[str]], ...] = (
        ("bool", _SWITCHES),
        ("number", _NUMBERS),
        ("other", _TEXTS),
    )
    for kind, names in groups:
        for name in names:
            title = _TITLES.get(name, f"hv/{name}")
            doc = f"Hypervisor parameter {name}, if the hypervisor has it"
            yield Field(f"hv/{name}", title, kind, doc, _hypervisor(name), of=_all_hypervisor)


def _all_hypervisor(row: InstanceRow) -> object:
    return row.hvparams


def _hypervisor(name: str) -> Callable[[InstanceRow], Cell]:
    def read(row: InstanceRow) -> Cell:
        value = row.hvparams.get(name)
        return UNAVAIL if value is None else (NORMAL, value)

    return read
