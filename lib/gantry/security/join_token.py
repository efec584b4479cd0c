"""One-time tokens with which a machine joins the cluster as a certain node.

The master hands out one word that says where the master is, how to recognize it, and a secret
that proves to it that the machine was invited. The master keeps only the secret's hash.

The text form is ``gantry-join-`` and base64url (without padding) of a four-byte checksum and
the JSON form; the checksum is for slips of the mouse, not against forgery.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Final, Literal

from attrs import evolve, field, frozen

from gantry.protocols.codec import Malformed, canonical, dump, from_bytes, load
from gantry.security.authority import RandomBytes
from gantry.security.certificates import Fingerprint

PREFIX: Final = "gantry-join-"
CHECKSUM_BYTES: Final = 4
SECRET_BYTES: Final = 32
TEXT_CHARACTERS_MAX: Final = 4096
"""No token that we make comes near it."""


class BadToken(ValueError):
    """A word is no join token; it was not copied as a whole, or is something else."""


@frozen
class JoinToken:
    """An invitation."""

    address: str
    """Where the master's NodeD listens."""
    port: int
    authority: Fingerprint
    """SHA-256 of the cluster authority's certificate."""
    secret: str = field(repr=False)
    node: str
    """The only node name that it is good for."""
    expires: float
    """Seconds since the epoch."""

    def to_text(self) -> str:
        """Render it as one word for a command line."""
        content = canonical(dump(self))
        word = base64.urlsafe_b64encode(_checksum(content) + content).rstrip(b"=")
        return PREFIX + word.decode()

    @classmethod
    def from_text(cls, text: str) -> JoinToken:
        """Parse the word.

        Raises:
            BadToken: it is not as :meth:`to_text` made it.
        """
        word = text.strip()
        if not word.startswith(PREFIX) or len(word) > TEXT_CHARACTERS_MAX:
            raise BadToken(f"a join token begins with {PREFIX}; ask the master for one")
        encoded = word.removeprefix(PREFIX)
        try:
            data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        except ValueError:
            data = b""
        checksum, content = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
        if checksum != _checksum(content):
            raise BadToken("the join token is damaged; copy the whole word")
        try:
            return load(cls, from_bytes(content))
        except Malformed as error:
            raise BadToken(f"the join token is of another version: {error}") from error


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:CHECKSUM_BYTES]


def new_secret(random: RandomBytes) -> str:
    """Make a token's secret."""
    return random(SECRET_BYTES).hex()


def hashed(secret: str) -> str:
    """Return what is kept of a secret; it is random enough to need no salt."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


@frozen
class TokenRecord:
    """What the master knows of a token."""

    node: str
    expires: float
    used: float | None = None
    """When it was used."""


@frozen
class TokenStore:
    """All tokens by the hash of their secret."""

    records: Mapping[str, TokenRecord] = field(factory=dict)


TokenState = Literal["issued", "used", "expired"]

RefusalReason = Literal["unknown", "used", "expired", "other node"]


@frozen
class TokenAccepted:
    """The token was good, and is used up now."""

    store: TokenStore


@frozen
class TokenRefused:
    """The token is not good; the store stays as it is."""

    reason: RefusalReason

    def sentence(self) -> str:
        """Say why, and what to do."""
        because = {
            "unknown": "this cluster did not issue it",
            "used": "it was used already",
            "expired": "it has expired",
            "other node": "it is for another node name",
        }
        return f"the join token is refused: {because[self.reason]}; ask the master for a new one"


def state_of(record: TokenRecord, now: float) -> TokenState:
    """Return a token's state at a time (seconds since the epoch)."""
    if record.used is not None:
        return "used"
    return "expired" if now >= record.expires else "issued"


def issue(store: TokenStore, token: JoinToken) -> TokenStore:
    """Remember a new token; older ones for the same node that were not used are revoked."""
    kept = {
        digest: record
        for digest, record in store.records.items()
        if record.node != token.node or record.used is not None
    }
    return TokenStore({**kept, hashed(token.secret): TokenRecord(token.node, token.expires)})


def redeem(store: TokenStore, secret: str, node: str, now: float) -> TokenAccepted | TokenRefused:
    """Use a token up, if it is good for this node now.

    Secrets are looked up by their hash, so timing tells nothing about them.
    """
    digest = hashed(secret)
    record = store.records.get(digest)
    if record is None:
        return TokenRefused("unknown")
    state = state_of(record, now)
    if state != "issued":
        return TokenRefused(state)
    if record.node != node:
        return TokenRefused("other node")
    return TokenAccepted(TokenStore({**store.records, digest: evolve(record, used=now)}))


def pruned(store: TokenStore, now: float, keep_seconds: float) -> TokenStore:
    """Forget tokens that expired longer than ``keep_seconds`` ago, used or not."""
    return TokenStore(
        {d: record for d, record in store.records.items() if now < record.expires + keep_seconds}
    )
