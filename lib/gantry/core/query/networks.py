"""The fields of networks."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from attrs import frozen

from gantry.core.query.fields import UNAVAIL, Field, Table, normal, present, table
from gantry.core.query.view import View
from gantry.protocols.objects.network import Network
from gantry.protocols.query import Cell


@frozen
class NetworkRow:
    """A network with its cluster."""

    network: Network
    view: View

    @cached_property
    def map(self) -> str | None:
        """For each address ``X`` if it is taken, ``.`` if it is free."""
        ours, others = self.network.reservations, self.network.ext_reservations
        if ours is None or others is None:
            return None
        return "".join("X" if "1" in pair else "." for pair in zip(ours, others, strict=True))

    @cached_property
    def groups(self) -> list[list[object]]:
        """The groups that the network reaches: name, NIC mode, link, VLAN."""
        nodegroups, uuid = self.view.configuration.nodegroups, self.network.uuid
        return [
            [group.name, params.get("mode"), params.get("link"), params.get("vlan", "")]
            for group in map(nodegroups.__getitem__, sorted(nodegroups))
            if (params := group.networks.get(uuid)) is not None
        ]

    @property
    def instances(self) -> list[str]:
        """The names of the instances with a NIC in the network."""
        return self.view.network_users.get(self.network.uuid, [])


def _external(row: NetworkRow) -> Cell:
    bitmap = row.network.ext_reservations
    if bitmap is None:
        return UNAVAIL
    first = int(IPv4Network(row.network.network, strict=False).network_address)
    taken = (IPv4Address(first + place) for place, bit in enumerate(bitmap) if bit == "1")
    return normal(", ".join(map(str, taken)))


def _count(row: NetworkRow, mark: str) -> Cell:
    return UNAVAIL if row.map is None else normal(row.map.count(mark))


_FIELDS: Final[tuple[Field[NetworkRow], ...]] = (
    Field("name", "Network", "text", "Name", lambda r: (0, r.network.name)),
    Field("uuid", "UUID", "text", "UUID of the network", lambda r: (0, r.network.uuid)),
    Field("serial_no", "SerialNo", "number", "Version, grows with each change",
          lambda r: (0, r.network.serial_no)),
    Field("ctime", "CTime", "timestamp", "When it was made", lambda r: (0, r.network.ctime)),
    Field("mtime", "MTime", "timestamp", "When it was last changed",
          lambda r: (0, r.network.mtime)),
    Field("tags", "Tags", "other", "Tags", lambda r: (0, sorted(r.network.tags))),
    Field("network", "Subnet", "text", "IPv4 subnet", lambda r: (0, r.network.network)),
    Field("gateway", "Gateway", "other", "IPv4 gateway", lambda r: present(r.network.gateway)),
    Field("network6", "IPv6Subnet", "other", "IPv6 subnet",
          lambda r: present(r.network.network6)),
    Field("gateway6", "IPv6Gateway", "other", "IPv6 gateway",
          lambda r: present(r.network.gateway6)),
    Field("mac_prefix", "MacPrefix", "other", "First half of the MAC addresses of its NICs",
          lambda r: present(r.network.mac_prefix)),
    Field("map", "Map", "text", "One character for each address: X taken, . free",
          lambda r: present(r.map)),
    Field("free_count", "FreeCount", "number", "Number of free addresses",
          lambda r: _count(r, ".")),
    Field("reserved_count", "ReservedCount", "number", "Number of taken addresses",
          lambda r: _count(r, "X")),
    Field("external_reservations", "ExternalReservations", "text",
          "Addresses that are not for instances", _external),
    Field("group_cnt", "NodeGroups", "number", "Number of node groups that it reaches",
          lambda r: (0, len(r.groups))),
    Field("group_list", "GroupList", "other", "Node groups that it reaches, mode, link, VLAN",
          lambda r: (0, r.groups)),
    Field("inst_cnt", "Instances", "number", "Number of instances in it",
          lambda r: (0, len(r.instances))),
    Field("inst_list", "InstanceList", "other", "Instances in it", lambda r: (0, r.instances)),
)  # fmt: skip

NETWORKS: Final[Table[NetworkRow]] = table("network", "name", _FIELDS)
