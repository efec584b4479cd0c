"""The fields of an instance's disks and NICs: one for each place, and one for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from attrs import frozen

from gantry.core.query.fields import UNAVAIL, Field, present
from gantry.core.query.instance_row import InstanceRow, NicRow
from gantry.core.query.view import AnyDisk
from gantry.protocols.codec import Json
from gantry.protocols.query import Cell, Kind

DISKS_SHOWN: Final = 16
"""As many disks as an instance may have."""
NICS_SHOWN: Final = 8
"""As many NICs as an instance may have."""


@frozen
class DiskField:
    """A property of a disk: of one by ``disk.NAME/N``, of all by the plural."""

    name: str
    plural: str
    title: str
    plural_title: str
    kind: Kind
    doc: str
    value: Callable[[AnyDisk], Json]


@frozen
class NicField:
    """A property of a NIC: of one by ``nic.NAME/N``, of all by the plural."""

    name: str
    plural: str
    title: str
    plural_title: str
    doc: str
    value: Callable[[NicRow], Json]


def _link_if(nic: NicRow) -> Json:
    return nic.params.get("link") if nic.params.get("mode") == "bridged" else None


def _vlan_if(nic: NicRow) -> Json:
    return nic.params.get("vlan") if nic.params.get("mode") == "openvswitch" else None


_DISK: Final = (
    DiskField("size", "disk.sizes", "Disk", "Disk_sizes", "unit", "Size", lambda d: d.size),
    DiskField("spindles", "disk.spindles", "DiskSpindles", "Disk_spindles", "number",
              "Number of spindles", lambda d: d.spindles),
    DiskField("name", "disk.names", "DiskName", "Disk_names", "text", "Name", lambda d: d.name),
    DiskField("uuid", "disk.uuids", "DiskUUID", "Disk_UUIDs", "text", "UUID", lambda d: d.uuid),
)  # fmt: skip

_NIC: Final = (
    NicField("ip", "nic.ips", "NicIP", "NIC_IPs", "IP address", lambda n: n.nic.ip),
    NicField("uuid", "nic.uuids", "NicUUID", "NIC_UUIDs", "UUID", lambda n: n.nic.uuid),
    NicField("mac", "nic.macs", "NicMAC", "NIC_MACs", "MAC address", lambda n: n.nic.mac),
    NicField("name", "nic.names", "NicName", "NIC_Names", "Name", lambda n: n.nic.name),
    NicField("network", "nic.networks", "NicNetwork", "NIC_networks", "UUID of the network",
             lambda n: n.nic.network),
    NicField("network.name", "nic.networks.names", "NicNetworkName", "NIC_networks_names",
             "Name of the network", lambda n: n.network_name),
    NicField("mode", "nic.modes", "NicMode", "NIC_modes", "How it is connected",
             lambda n: n.params.get("mode")),
    NicField("link", "nic.links", "NicLink", "NIC_links", "What it is connected to",
             lambda n: n.params.get("link")),
    NicField("vlan", "nic.vlans", "NicVLAN", "NIC_VLANs", "VLAN, with Open vSwitch", _vlan_if),
    NicField("bridge", "nic.bridges", "NicBridge", "NIC_bridges", "Bridge, if bridged", _link_if),
)  # fmt: skip


def disk_fields() -> Iterator[Field[InstanceRow]]:
    """Yield the fields of disks."""
    yield Field("disk.count", "Disks", "number", "Number of disks", lambda r: (0, len(r.disks)))
    for each in _DISK:
        yield Field(each.plural, each.plural_title, "other", f"{each.doc} of each disk",
                    _all_disks(each.value))  # fmt: skip
        for place in range(DISKS_SHOWN):
            yield Field(f"disk.{each.name}/{place}", f"{each.title}/{place}", each.kind,
                        f"{each.doc} of disk {place}", _one_disk(place, each.value),
                        of=_disks)  # fmt: skip


def _disks(row: InstanceRow) -> object:
    return row.disks


def _all_disks(value: Callable[[AnyDisk], Json]) -> Callable[[InstanceRow], Cell]:
    return lambda row: (0, [value(disk) for disk in row.disks])


def _one_disk(place: int, value: Callable[[AnyDisk], Json]) -> Callable[[InstanceRow], Cell]:
    def read(row: InstanceRow) -> Cell:
        disks = row.disks
        return present(value(disks[place])) if place < len(disks) else UNAVAIL

    return read


def nic_fields() -> Iterator[Field[InstanceRow]]:
    """Yield the fields of NICs."""
    yield Field("nic.count", "NICs", "number", "Number of NICs", lambda r: (0, len(r.nics)))
    yield Field("custom_nicparams", "CustomNicParameters", "other", "NIC parameters of its own",
                lambda r: (0, [each.nic.nicparams for each in r.nics]))  # fmt: skip
    for each in _NIC:
        yield Field(each.plural, each.plural_title, "other", f"{each.doc} of each NIC",
                    _all_nics(each.value))  # fmt: skip
        for place in range(NICS_SHOWN):
            yield Field(f"nic.{each.name}/{place}", f"{each.title}/{place}", "text",
                        f"{each.doc} of NIC {place}", _one_nic(place, each.value))  # fmt: skip


def _all_nics(value: Callable[[NicRow], Json]) -> Callable[[InstanceRow], Cell]:
    return lambda row: (0, [value(nic) for nic in row.nics])


def _one_nic(place: int, value: Callable[[NicRow], Json]) -> Callable[[InstanceRow], Cell]:
    def read(row: InstanceRow) -> Cell:
        nics = row.nics
        return present(value(nics[place])) if place < len(nics) else UNAVAIL

    return read
