"""Which datagrams are let in: those signed with the cluster's key, fresh, and never seen before.

Everything else is dropped without an answer, at the least cost: what is cheap to check is
checked first, and nothing is kept of a datagram that was not signed.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, Literal

from attrs import define, field

from gantry.core.confd.answers import TOO_LARGE
from gantry.core.confd.rendered import Rendered
from gantry.protocols.codec import Malformed, to_bytes
from gantry.protocols.rconfd import (
    CLOCK_SKEW_SECONDS_MAX,
    MAGIC,
    REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    Request,
    parse_envelope,
    parse_request,
)
from gantry.security.hmac_key import Signer

Dropped = Literal["oversized", "malformed", "stale", "forged", "replayed", "senseless"]
"""``malformed``: no envelope. ``senseless``: signed, and yet no request of this protocol."""

REMEMBERED_MAX: Final = 65536
"""Signatures kept in memory (some 8 MiB); only holders of the key can make it run full, and then
the oldest are forgotten first."""

_SALT: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)


@define
class SeenSignatures:
    """The signatures of the last minutes: each datagram is answered once."""

    _seen: set[str] = field(factory=set, init=False)
    _order: deque[tuple[float, str]] = field(factory=deque, init=False)

    def is_new(self, signature: str, now: float) -> bool:
        """Remember a signature; say whether it was unknown.

        One is kept for twice the clock skew: later than that its datagram is stale anyway.
        """
        while self._order and (
            abs(now - self._order[0][0]) > 2 * CLOCK_SKEW_SECONDS_MAX
            or len(self._order) >= REMEMBERED_MAX
        ):
            self._seen.discard(self._order.popleft()[1])
        if signature in self._seen:
            return False
        self._seen.add(signature)
        self._order.append((now, signature))
        return True


@define
class Door:
    """Checks datagrams against one key."""

    key: bytes = field(repr=False)
    _signer: Signer = field(init=False, repr=False)
    _seen: SeenSignatures = field(factory=SeenSignatures, init=False)

    def __attrs_post_init__(self) -> None:
        self._signer = Signer.of(self.key)

    def admit(self, datagram: bytes, now: float) -> Request | Dropped:
        """Return the request in a datagram, or why it is dropped.

        Args:
            datagram: as it was received.
            now: seconds since the epoch.
        """
        if len(datagram) > REQUEST_BYTES_MAX:
            return "oversized"
        try:
            envelope = parse_envelope(datagram)
        except Malformed:
            return "malformed"
        if not _is_fresh(envelope.salt, now):
            return "stale"
        if not self._signer.is_signed(envelope.salt, envelope.msg, envelope.hmac):
            return "forged"
        if not self._seen.is_new(envelope.hmac.lower(), now):
            return "replayed"
        try:
            return parse_request(envelope.msg)
        except Malformed:
            return "senseless"

    def sealed(self, begun: Rendered, end: Rendered, rsalt: str) -> bytes:
        """Return the datagram that carries a reply; one too large for it becomes an error.

        Args:
            begun: the reply without its end.
            end: its end.
            rsalt: the salt that the request asks for.
        """
        datagram = self._sealed(begun, end, rsalt)
        return datagram if len(datagram) <= REPLY_BYTES_MAX else self._sealed(TOO_LARGE, end, rsalt)

    def _sealed(self, begun: Rendered, end: Rendered, rsalt: str) -> bytes:
        signature = self._signer.sign(rsalt.encode(), begun.plain, end.plain)
        return b'%s{"msg":"%s%s","salt":%s,"hmac":"%s"}' % (
            MAGIC,
            begun.escaped,
            end.escaped,
            to_bytes(rsalt),
            signature.encode(),
        )


def _is_fresh(salt: str, now: float) -> bool:
    sent = _SALT.fullmatch(salt)
    return sent is not None and abs(now - int(salt)) <= CLOCK_SKEW_SECONDS_MAX
