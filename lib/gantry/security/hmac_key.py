"""The cluster's HMAC key, with which ConfD's datagrams are signed."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, Protocol

from attrs import field, frozen

from gantry.security.authority import RandomBytes

KEY_BYTES: Final = 20
"""As long as the digest: a longer key would add nothing (RFC 2104 section 3)."""


BLOCK_BYTES: Final = 64
"""SHA-1's block, into which a key is put (RFC 2104 section 2)."""


def new_hmac_key(random: RandomBytes) -> bytes:
    """Make the content of a key file. All of it is the key, the newline at its end included."""
    return random(KEY_BYTES).hex().encode() + b"\n"


class _Hash(Protocol):
    """A hash under way, as :mod:`hashlib` has it."""

    def copy(self) -> _Hash: ...
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


@frozen
class Signer:
    """Signs many messages with one key: HMAC-SHA1 (RFC 2104) with the key hashed in beforehand.

    Half as dear as beginning with the key each time.
    """

    _inner: _Hash = field(repr=False)
    _outer: _Hash = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> Signer:
        """Hash a key in."""
        if len(key) > BLOCK_BYTES:
            key = hashlib.sha1(key, usedforsecurity=False).digest()
        padded = key.ljust(BLOCK_BYTES, b"\0")
        inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
        return cls(
            hashlib.sha1(inner, usedforsecurity=False), hashlib.sha1(outer, usedforsecurity=False)
        )

    def sign(self, *parts: bytes) -> str:
        """Return the signature, in hexadecimal, of a message that is in several parts."""
        inner, outer = self._inner.copy(), self._outer.copy()
        for part in parts:
            inner.update(part)
        outer.update(inner.digest())
        return outer.hexdigest()

    def is_signed(self, salt: str, message: str, signature: str) -> bool:
        """Whether the signature is right; takes the same time wherever it differs."""
        ours = self.sign((salt + message).encode())
        return signature.isascii() and hmac.compare_digest(ours, signature)


def sign(key: bytes, salt: str, message: str) -> str:
    """Return the signature of a message: HMAC-SHA1 over salt and message, in hexadecimal."""
    return Signer.of(key).sign((salt + message).encode())


def is_signed(key: bytes, salt: str, message: str, signature: str) -> bool:
    """Whether the signature is right; takes the same time wherever it differs."""
    return Signer.of(key).is_signed(salt, message, signature)
