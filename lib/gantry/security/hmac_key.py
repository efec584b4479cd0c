"""The cluster's HMAC key, with which ConfD's datagrams are signed."""

from __future__ import annotations

import hmac
from typing import Final

from gantry.security.authority import RandomBytes

KEY_BYTES: Final = 20
"""As long as the digest: a longer key would add nothing (RFC 2104 section 3)."""


def new_hmac_key(random: RandomBytes) -> bytes:
    """Make the content of a key file. All of it is the key, the newline at its end included."""
    return random(KEY_BYTES).hex().encode() + b"\n"


def sign(key: bytes, salt: str, message: str) -> str:
    """Return the signature of a message: HMAC-SHA1 over salt and message, in hexadecimal."""
    return sign_bytes(key, (salt + message).encode())


def sign_bytes(key: bytes, data: bytes) -> str:
    """Return the signature of salt and message that are put together already."""
    return hmac.digest(key, data, "sha1").hex()


def is_signed(key: bytes, salt: str, message: str, signature: str) -> bool:
    """Whether the signature is right; takes the same time wherever it differs."""
    ours = sign(key, salt, message).encode()
    return hmac.compare_digest(ours, signature.encode(errors="surrogatepass"))
