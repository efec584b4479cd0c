"""How much of everything a peer may take; each bound with its reason."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from gantry.runtime.descriptors import DESCRIPTORS_USUAL, connections_max

BODIES_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of all bodies that a server has in hand: as much as four of the largest."""

HEADER_BYTES_MAX: Final = 32 * 1024
"""Request line and headers; browsers with many cookies stay below 16 KiB."""

HEADER_COUNT_MAX: Final = 100
"""Real clients send about ten; each costs parsing time."""

HEADER_SECONDS_MAX: Final = 20.0
"""From the first byte to the last header: a slower sender holds the connection hostage."""

BODY_BYTES_MAX: Final = 64 * 1024 * 1024
"""As large as a frame on a unix socket: the configuration of a 20,000-instance cluster."""

BODY_SECONDS_MAX: Final = 120.0
"""The largest body over a 10 Mbit/s line, twice."""

KEEP_ALIVE_IDLE_SECONDS: Final = 75.0
"""Longer than the interval at which pollers come back; our client gives up earlier (below)."""

HANDSHAKE_SECONDS_MAX: Final = 10.0
"""TLS needs two round trips and one signature."""

WRITE_SECONDS_MAX: Final = 60.0
"""For each :data:`WRITE_BYTES` of an answer: a peer that reads slower than that is stuck."""

WRITE_BYTES: Final = 256 * 1024
"""What is written under one deadline."""

RECEIVE_BYTES: Final = 64 * 1024
"""What is read at once."""

CLIENT_CONNECTIONS_MAX: Final = 8
"""To one host: each carries one exchange at a time, more wait for a free one."""

CLIENT_IDLE_SECONDS: Final = 30.0
"""Well below :data:`KEEP_ALIVE_IDLE_SECONDS`, so that we never send into a closing connection."""

CONNECT_SECONDS_MAX: Final = 5.0
"""Ganeti's own bound for reaching a node."""


@frozen
class Limits:
    """The limits of a server; seconds are counted by trio's clock."""

    connections: int = connections_max(DESCRIPTORS_USUAL)
    """A server in a daemon goes by what its process may open."""
    header_bytes: int = HEADER_BYTES_MAX
    header_count: int = HEADER_COUNT_MAX
    header_seconds: float = HEADER_SECONDS_MAX
    body_bytes: int = BODY_BYTES_MAX
    bodies_bytes: int = BODIES_BYTES_MAX
    body_seconds: float = BODY_SECONDS_MAX
    keep_alive_idle_seconds: float = KEEP_ALIVE_IDLE_SECONDS
    handshake_seconds: float = HANDSHAKE_SECONDS_MAX
    write_seconds: float = WRITE_SECONDS_MAX


@frozen
class ClientLimits:
    """The limits of a client of one host."""

    connections: int = CLIENT_CONNECTIONS_MAX
    idle_seconds: float = CLIENT_IDLE_SECONDS
    connect_seconds: float = CONNECT_SECONDS_MAX
    header_bytes: int = HEADER_BYTES_MAX
    body_bytes: int = BODY_BYTES_MAX
