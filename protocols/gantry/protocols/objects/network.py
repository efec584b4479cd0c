"""A network: an address pool that NICs draw from."""

from __future__ import annotations

from attrs import frozen

from gantry.protocols.identity import NetworkUuid
from gantry.protocols.objects.wire import ConfigObject


@frozen(kw_only=True)
class Network(ConfigObject):
    """An IPv4 network (and, by name only, an IPv6 one) whose addresses the cluster hands out.

    An address is free if both bitmaps have ``0`` at its place.
    """

    name: str
    mac_prefix: str | None = None
    network: str
    """In CIDR form, prefix length 16 to 30."""
    network6: str | None = None
    gateway: str | None = None
    gateway6: str | None = None
    reservations: str | None = None
    """One character, ``0`` or ``1``, for each address: taken by an instance or the gateway."""
    ext_reservations: str | None = None
    """The same for addresses that are not the cluster's to hand out."""
    uuid: NetworkUuid
    ctime: float = 0.0
    mtime: float = 0.0
    serial_no: int
    tags: frozenset[str] = frozenset()
