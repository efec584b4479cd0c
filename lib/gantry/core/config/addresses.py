"""The addresses of a network, and the bitmaps that say which of them are taken.

A bitmap has a character for each address: ``1`` if it is taken. One says what instances use, the
other what is not the cluster's to hand out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from attrs import evolve

from gantry.protocols.objects.network import Network

Bitmap = Literal["reservations", "ext_reservations"]
BITMAPS: Final[tuple[Bitmap, ...]] = ("reservations", "ext_reservations")


def subnet_of(network: Network) -> ipaddress.IPv4Network | None:
    """Return a network's addresses, or ``None`` if it does not say them rightly."""
    try:
        return ipaddress.IPv4Network(network.network)
    except ValueError:
        return None


def place_of(network: Network, ip: str) -> int | None:
    """Return an address's place in a network's bitmaps, or ``None`` if it is not in it."""
    subnet = subnet_of(network)
    try:
        address = ipaddress.IPv4Address(ip)
    except ValueError:
        return None
    if subnet is None or address not in subnet:
        return None
    return int(address) - int(subnet.network_address)


def is_reserved(network: Network, place: int) -> bool:
    """Whether the address at a place in the bitmaps is taken."""
    return any(bit_set(bits, place) for bits in (network.reservations, network.ext_reservations))


def bit_set(bitmap: str | None, place: int) -> bool:
    """Whether a bitmap has a one at a place; no bitmap is all zeros."""
    return bitmap is not None and bitmap[place : place + 1] == "1"


def marked(network: Network, name: Bitmap, places: Iterable[int], *, taken: bool) -> Network:
    """Return a network with some places of a bitmap marked; no bitmap becomes one of zeros."""
    subnet = subnet_of(network)
    if subnet is None:
        return network
    before: str | None = getattr(network, name)
    bits = bytearray((before or "0" * subnet.num_addresses).encode())
    for place in places:
        if place < len(bits):
            bits[place : place + 1] = b"1" if taken else b"0"
    after = bits.decode()
    return network if after == before else _with_bitmap(network, name, after)


def _with_bitmap(network: Network, name: Bitmap, bits: str) -> Network:
    if name == "reservations":
        return evolve(network, reservations=bits)
    return evolve(network, ext_reservations=bits)


def free_addresses(network: Network) -> Iterator[str]:
    """Return the free addresses, the lowest first; network and broadcast address never are."""
    subnet = subnet_of(network)
    if subnet is None:
        return
    for place in range(1, subnet.num_addresses - 1):
        if not is_reserved(network, place):
            yield str(subnet.network_address + place)
