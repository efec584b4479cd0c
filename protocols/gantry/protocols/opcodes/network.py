"""Opcodes about networks."""

from __future__ import annotations

from attrs import frozen

from gantry.protocols.objects.vocabulary import NicMode
from gantry.protocols.opcodes.opcode import NetworkOpcode
from gantry.protocols.opcodes.vocabulary import (
    Ipv4Address,
    Ipv4Network,
    Ipv6Address,
    Ipv6Network,
)
from gantry.protocols.values import NonEmpty


@frozen(kw_only=True)
class OpNetworkAdd(NetworkOpcode):
    """Add a network whose addresses the cluster hands out."""

    network: Ipv4Network
    gateway: Ipv4Address | None = None
    network6: Ipv6Network | None = None
    gateway6: Ipv6Address | None = None
    mac_prefix: NonEmpty | None = None
    add_reserved_ips: tuple[Ipv4Address, ...] | None = None
    """Addresses that are not the cluster's to hand out."""
    conflicts_check: bool = True
    """Reserve the addresses of the nodes, as far as they lie in the network."""
    tags: tuple[NonEmpty, ...] = ()


@frozen(kw_only=True)
class OpNetworkSetParams(NetworkOpcode):
    """Change a network; what is ``None`` stays, ``none`` as a value removes."""

    gateway: Ipv4Address | None = None
    network6: Ipv6Network | None = None
    gateway6: Ipv6Address | None = None
    mac_prefix: NonEmpty | None = None
    add_reserved_ips: tuple[Ipv4Address, ...] | None = None
    remove_reserved_ips: tuple[Ipv4Address, ...] | None = None


@frozen(kw_only=True)
class OpNetworkRename(NetworkOpcode):
    """Give a network another name. Ganeti has this since 3.1."""

    new_name: NonEmpty


@frozen(kw_only=True)
class OpNetworkConnect(NetworkOpcode):
    """Make a network usable in a node group, with the NIC parameters to connect with."""

    group_name: NonEmpty
    network_mode: NicMode
    network_link: NonEmpty
    network_vlan: str = ""
    conflicts_check: bool = True
    """Refuse if an instance of the group uses an address of the network outside of it."""


@frozen(kw_only=True)
class OpNetworkDisconnect(NetworkOpcode):
    """Make a network unusable in a node group again."""

    group_name: NonEmpty


@frozen(kw_only=True)
class OpNetworkRemove(NetworkOpcode):
    """Remove a network that no node group is connected to."""

    force: bool = False
