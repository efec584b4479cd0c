"""The rules of networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from gantry.core.config.addresses import BITMAPS, is_reserved, place_of
from gantry.core.config.breaches import broken
from gantry.protocols.objects.network import Network
from gantry.protocols.wconfd import Invariant

PREFIX_LENGTHS: Final = range(16, 31)
"""A bitmap of more addresses would be too long, one of fewer would have none to give out."""

MAC_PREFIX: Final = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){2}")


def check_network(network: Network) -> Iterator[Invariant]:
    """Check a network's addresses and bitmaps."""
    if not network.name:
        yield broken("networks have names", network, "has no name")
    if network.mac_prefix is not None and not MAC_PREFIX.fullmatch(network.mac_prefix):
        text = f"has the MAC prefix {network.mac_prefix!r}"
        yield broken("MAC prefixes are three bytes", network, text)
    try:
        subnet = ipaddress.IPv4Network(network.network)
    except ValueError as error:
        yield broken("networks are IPv4 networks", network, str(error))
        return
    if subnet.prefixlen not in PREFIX_LENGTHS:
        lengths = f"{PREFIX_LENGTHS.start} to {PREFIX_LENGTHS.stop - 1}"
        text = f"{network.network} has a prefix length that is not among {lengths}"
        yield broken("networks have a fit size", network, text)
    for name in BITMAPS:
        bits: str | None = getattr(network, name)
        if bits is not None and (len(bits) != subnet.num_addresses or set(bits) - {"0", "1"}):
            text = f"a reservation bitmap is not made of {subnet.num_addresses} zeros and ones"
            yield broken("bitmaps fit their network", network, text)
    yield from _check_gateway(network, subnet)


def _check_gateway(network: Network, subnet: ipaddress.IPv4Network) -> Iterator[Invariant]:
    if network.gateway is None:
        return
    place = place_of(network, network.gateway)
    if place is None:
        text = f"gateway {network.gateway} is not in {network.network}"
        yield broken("gateways are in their network", network, text)
    elif network.gateway in {str(subnet.network_address), str(subnet.broadcast_address)}:
        text = f"gateway {network.gateway} is no host of {network.network}"
        yield broken("gateways are hosts", network, text)
    elif not is_reserved(network, place):
        text = f"the address of gateway {network.gateway} is free to be given out"
        yield broken("gateways are not given out", network, text)
