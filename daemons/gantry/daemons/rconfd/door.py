"""Which datagrams are let in: those signed with the cluster's key, fresh, and never seen before.

Everything else is dropped without an answer, at the least cost: what is cheap to check is
checked first, and nothing is kept of a datagram that was not signed.
"""

from __future__ import annotations

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
    open_envelope,
    parse_request,
)
from gantry.runtime.environment import Pieces
from gantry.security.hmac_key import Signer

Dropped = Literal["oversized", "malformed", "stale", "forged", "replayed", "senseless"]
"""``malformed``: no envelope. ``senseless``: signed, and yet no request of this protocol."""

GENERATION_MAX: Final = 65536
"""Signatures that are remembered together, and as many of the generation before (some 16 MiB);
only holders of the key can make it run full, and then the older ones are forgotten."""

SALT_DIGITS_MAX: Final = 18
"""Of the time that a request's salt is."""

_HEAD: Final = MAGIC + b'{"msg":"'


@define
class SeenSignatures:
    """The signatures of the last minutes: each datagram is answered once.

    They are forgotten by generations, an old one whole when the present one is closed.
    """

    _present: set[str] = field(factory=set, init=False)
    _old: set[str] = field(factory=set, init=False)
    _began: float = field(default=0.0, init=False)
    """When the present generation did, in seconds since the epoch."""

    def is_new(self, signature: str, now: float) -> bool:
        """Remember a signature; say whether it was unknown.

        One is kept for twice the clock skew at least: then its datagram is stale anyway.
        """
        is_over = abs(now - self._began) > 2 * CLOCK_SKEW_SECONDS_MAX
        if is_over or len(self._present) >= GENERATION_MAX:
            self._old, self._present, self._began = self._present, set(), now
        if signature in self._present or signature in self._old:
            return False
        self._present.add(signature)
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
            msg, salt, hmac = open_envelope(datagram)
        except Malformed:
            return "malformed"
        if not _is_fresh(salt, now):
            return "stale"
        if not self._signer.is_signed(salt, msg, hmac):
            return "forged"
        if not self._seen.is_new(hmac, now):
            return "replayed"
        try:
            return parse_request(msg)
        except Malformed:
            return "senseless"

    def sealed(self, begun: Rendered, end: Rendered, rsalt: str) -> Pieces:
        """Return the datagram that carries a reply; one too large for it becomes an error.

        The reply itself is a piece of the datagram as it is kept: it is not copied.

        Args:
            begun: the reply without its end.
            end: its end.
            rsalt: the salt that the request asks for.
        """
        pieces = self._sealed(begun, end, rsalt)
        if sum(map(len, pieces)) > REPLY_BYTES_MAX:
            pieces = self._sealed(TOO_LARGE, end, rsalt)
        return pieces

    def _sealed(self, begun: Rendered, end: Rendered, rsalt: str) -> Pieces:
        signature = self._signer.sign(rsalt.encode(), begun.plain, end.plain)
        tail = b'","salt":%s,"hmac":"%s"}' % (to_bytes(rsalt), signature.encode())
        return _HEAD, begun.escaped, end.escaped + tail


def _is_fresh(salt: str, now: float) -> bool:
    is_time = len(salt) <= SALT_DIGITS_MAX and salt.isdigit() and salt.isascii()
    return is_time and abs(now - int(salt)) <= CLOCK_SKEW_SECONDS_MAX
