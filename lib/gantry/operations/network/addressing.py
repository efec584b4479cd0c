"""What users say of a network's addresses: parsed here, once, for all operations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    NetmaskValueError,
)
from typing import Final

from gantry.protocols.errors import OpPrereqError

NONE: Final = "none"
"""Stands for a setting that is to be removed."""

_MAC_PREFIX: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){2}")


def _parsed(parse: Callable[[str], object], text: str, what: str) -> str:
    try:
        return str(parse(text))
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise OpPrereqError(f"{text!r} is not {what}: {error}") from None


def subnet4(text: str) -> str:
    """Return an IPv4 network in its usual form; addresses with host bits are refused.

    Raises:
        OpPrereqError: it is none; so say all functions here.
    """
    return _parsed(IPv4Network, text, "an IPv4 network, such as 192.0.2.0/24")


def address4(text: str) -> str:
    """Return an IPv4 address in its usual form."""
    return _parsed(IPv4Address, text, "an IPv4 address")


def addresses4(texts: Iterable[str] | None) -> tuple[str, ...]:
    """Return IPv4 addresses in their usual form, each once."""
    return tuple(dict.fromkeys(address4(text) for text in texts or ()))


def subnet6(text: str) -> str:
    """Return an IPv6 network in its usual form."""
    return _parsed(IPv6Network, text, "an IPv6 network, such as 2001:db8::/64")


def address6(text: str) -> str:
    """Return an IPv6 address in its usual form."""
    return _parsed(IPv6Address, text, "an IPv6 address")


def mac_prefix(text: str) -> str:
    """Return the first three bytes of a MAC address, in small letters."""
    prefix = text.lower()
    if not _MAC_PREFIX.fullmatch(prefix):
        raise OpPrereqError(f"{text!r} is not the first half of a MAC address, such as aa:00:17")
    return prefix


def changed(old: str | None, wanted: str | None, parse: Callable[[str], str]) -> str | None:
    """Return a setting's new value: ``None`` keeps the old one, ``none`` removes it."""
    if wanted is None:
        return old
    return None if wanted.lower() == NONE else parse(wanted)
