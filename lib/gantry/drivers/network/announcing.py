"""Telling the neighbours that an address has moved here (RFC 5227, section 3: ARP announcement)."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Final

ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IPV4: Final = 0x0800
HARDWARE_ETHERNET: Final = 1
ARP_REQUEST: Final = 1
BROADCAST: Final = b"\xff" * 6


def announcement(hardware: bytes, address: str) -> bytes:
    """Return the Ethernet frame of an ARP announcement.

    Raises:
        ValueError: this is no IPv4 address.
    """
    packed = ipaddress.IPv4Address(address).packed
    head = BROADCAST + hardware + struct.pack("!H", ETHERTYPE_ARP)
    kind = struct.pack("!HHBBH", HARDWARE_ETHERNET, ETHERTYPE_IPV4, 6, 4, ARP_REQUEST)
    return head + kind + hardware + packed + bytes(6) + packed


def announce(interface: str, address: str) -> None:
    """Announce an IPv4 address; IPv6 neighbours ask again by themselves. Blocking, needs root.

    Raises:
        OSError: there is no such interface, or we may not.
    """
    if ipaddress.ip_address(address).version != 4:
        return
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((interface, ETHERTYPE_ARP))
        sender.send(announcement(sender.getsockname()[4], address))
