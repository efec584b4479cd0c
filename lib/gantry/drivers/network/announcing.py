"""Telling the neighbours that an address has moved here.

IPv4: an ARP announcement (RFC 5227, section 3). IPv6: an unsolicited neighbour advertisement that
overrides what neighbours know (RFC 4861, section 7.2.6).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Final

ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_IPV6: Final = 0x86DD
HARDWARE_ETHERNET: Final = 1
ARP_REQUEST: Final = 1
BROADCAST: Final = b"\xff" * 6

ALL_NODES: Final = ipaddress.IPv6Address("ff02::1")
ALL_NODES_HARDWARE: Final = bytes.fromhex("333300000001")
"""Where a multicast address is on Ethernet (RFC 2464, section 7)."""
ICMPV6: Final = 58
NEIGHBOUR_ADVERTISEMENT: Final = 136
OVERRIDE: Final = 0x2000_0000
TARGET_HARDWARE_OPTION: Final = 2
HOP_LIMIT: Final = 255
"""Others are taken for forged: it shows that no router has forwarded the packet."""


def announcement(hardware: bytes, address: str) -> bytes:
    """Return the Ethernet frame that announces an address.

    Raises:
        ValueError: this is no IP address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return _arp(hardware, parsed)
    return _advertisement(hardware, parsed)


def _arp(hardware: bytes, address: ipaddress.IPv4Address) -> bytes:
    head = BROADCAST + hardware + struct.pack("!H", ETHERTYPE_ARP)
    kind = struct.pack("!HHBBH", HARDWARE_ETHERNET, ETHERTYPE_IPV4, 6, 4, ARP_REQUEST)
    return head + kind + hardware + address.packed + bytes(6) + address.packed


def _advertisement(hardware: bytes, address: ipaddress.IPv6Address) -> bytes:
    option = struct.pack("!BB", TARGET_HARDWARE_OPTION, 1) + hardware
    message = struct.pack("!I", OVERRIDE) + address.packed + option
    ends = address.packed + ALL_NODES.packed
    checked = struct.pack("!BBH", NEIGHBOUR_ADVERTISEMENT, 0, 0) + message
    pseudo = ends + struct.pack("!II", len(checked), ICMPV6)
    checksum = _checksum(pseudo + checked)
    icmp = struct.pack("!BBH", NEIGHBOUR_ADVERTISEMENT, 0, checksum) + message
    head = ALL_NODES_HARDWARE + hardware + struct.pack("!H", ETHERTYPE_IPV6)
    return head + struct.pack("!IHBB", 6 << 28, len(icmp), ICMPV6, HOP_LIMIT) + ends + icmp


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(word for (word,) in struct.iter_unpack("!H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def announce(interface: str, address: str) -> None:
    """Announce an address. Blocking, needs root.

    Raises:
        OSError: there is no such interface, or we may not.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((interface, 0))
        sender.send(announcement(sender.getsockname()[4], address))
