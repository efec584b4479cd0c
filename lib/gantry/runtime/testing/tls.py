"""TLS without cryptography: the same handshake outcome, told in plain frames.

A context made here is given to :class:`trio.SSLStream` like OpenSSL's. The two ends exchange their
certificates, each checks the other's signature and dates as OpenSSL would, and what follows
travels as it is. So who may talk to whom, and who a peer is, come about as in production; only
nothing is secret. A certificate can not be shown without its key: a context does not begin
without both.
"""

from __future__ import annotations

import ssl
import struct
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from attrs import define, field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from typing_extensions import override

from gantry.runtime.environment import Clock, Files, Tls
from gantry.security.contexts import ClientCertificates

_HEADER: Final = struct.Struct(">4scI")
_MAGIC: Final = b"MTLS"
_HELLO: Final = b"h"
_ALERT: Final = b"a"

CERTIFICATES_KEPT: Final = 256
"""So many are remembered that were looked at: more than one cluster has."""

UNKNOWN_AUTHORITY: Final = "TLSV1_ALERT_UNKNOWN_CA"
EXPIRED: Final = "SSLV3_ALERT_CERTIFICATE_EXPIRED"
REQUIRED: Final = "TLSV13_ALERT_CERTIFICATE_REQUIRED"


class TlsFailed(ssl.SSLError):
    """A handshake came to nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(1, f"[{reason}]")
        self.why = reason


@define(eq=False)
class MemoryContext:
    """What :class:`ssl.SSLContext` is for production; stands in for one by its ``wrap_bio``."""

    clock: Clock
    own: bytes
    """The certificate that is shown, in DER form; empty: none."""
    authority: x509.Certificate | None
    """Who must have signed the peer's certificate; ``None``: it is not looked at."""
    wanted: ClientCertificates
    """What a server wants of its clients."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the standard library's signature
        server_hostname: str | None = None,
    ) -> MemoryTlsObject:
        """Return one end of a connection; see :meth:`ssl.SSLContext.wrap_bio`."""
        return MemoryTlsObject(self, incoming, outgoing, server_side)

    def problem_with(self, der: bytes) -> str | None:
        """Say why a peer's certificate is refused, if it is."""
        if self.authority is None:
            return None
        if not der:
            return REQUIRED
        shown = x509.load_der_x509_certificate(der)
        if not _is_signed(shown, self.authority):
            return UNKNOWN_AUTHORITY
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        return None if shown.not_valid_before_utc <= now <= shown.not_valid_after_utc else EXPIRED


@lru_cache(CERTIFICATES_KEPT)
def _is_signed(shown: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        shown.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return shown == authority  # one that signed itself and is trusted itself
    return True


@define(eq=False)
class MemoryTlsObject:
    """What :class:`ssl.SSLObject` is for production."""

    context: MemoryContext
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    server_side: bool
    _said_hello: bool = field(default=False, init=False)
    _peer: bytes = field(default=b"", init=False)
    _read: bytearray = field(factory=bytearray, init=False)

    def do_handshake(self) -> None:
        """Go on with the handshake as far as what has come allows."""
        if not self.server_side and not self._said_hello:
            self._say(_HELLO, self.context.own)
        kind, peer = self._frame()
        if kind == _ALERT:
            raise TlsFailed(peer.decode())
        is_asked = not self.server_side or self.context.wanted != "none"
        optional = self.server_side and self.context.wanted == "optional" and not peer
        problem = None if optional or not is_asked else self.context.problem_with(peer)
        if problem is not None:
            self._say(_ALERT, problem.encode())
            raise TlsFailed(problem)
        self._peer = peer if is_asked else b""
        if self.server_side:
            self._say(_HELLO, self.context.own)

    def _say(self, kind: bytes, body: bytes) -> None:
        self._outgoing.write(_HEADER.pack(_MAGIC, kind, len(body)) + body)
        self._said_hello = True

    def _frame(self) -> tuple[bytes, bytes]:
        self._read += self._incoming.read()
        if len(self._read) >= len(_MAGIC) and not self._read.startswith(_MAGIC):
            raise TlsFailed("WRONG_VERSION_NUMBER")  # as OpenSSL says to a peer without TLS
        if len(self._read) >= _HEADER.size:
            _, kind, size = _HEADER.unpack_from(self._read)
            end = _HEADER.size + size
            if len(self._read) >= end:
                body = bytes(self._read[_HEADER.size : end])
                del self._read[:end]
                return kind, body
        if self._incoming.eof:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        raise ssl.SSLWantReadError

    @property
    def has_more(self) -> bool:
        """Whether more came with the handshake than that."""
        return bool(self._read)

    def read(self, size: int) -> bytes:
        """Return some of what has come."""
        if self._read:
            data = bytes(self._read[:size])
            del self._read[: len(data)]
            return data
        data = self._incoming.read(size)
        if data:
            return data
        if self._incoming.eof:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        raise ssl.SSLWantReadError

    def write(self, data: bytes) -> int:
        """Send."""
        return self._outgoing.write(data)

    def unwrap(self) -> None:
        """End the conversation; nothing is said."""

    def version(self) -> str:
        """Return what kind of TLS this is not."""
        return "memory"

    def getpeercert(self, binary_form: Literal[True] = True) -> bytes | None:  # noqa: FBT002 - the standard library's signature
        """Return the certificate that the peer has shown."""
        return self._peer or None


@frozen
class MemoryTls(Tls):
    """Makes contexts of the files of one node."""

    files: Files
    clock: Clock

    @override
    async def client(self, authority_pem: bytes, combined: Path | None = None) -> ssl.SSLContext:
        own = b"" if combined is None else await self._own(combined)
        return self._context(own, authority_pem, "none")

    @override
    async def server(
        self, combined: Path, clients: ClientCertificates, authority_pem: bytes | None = None
    ) -> ssl.SSLContext:
        if clients != "none" and authority_pem is None:
            raise ValueError("client certificates can not be verified without an authority")
        return self._context(await self._own(combined), authority_pem, clients)

    @override
    async def introduction(self) -> ssl.SSLContext:
        return self._context(b"", None, "none")

    def _context(
        self, own: bytes, authority_pem: bytes | None, wanted: ClientCertificates
    ) -> ssl.SSLContext:
        trusted = None if authority_pem is None else x509.load_pem_x509_certificate(authority_pem)
        context: Any = MemoryContext(self.clock, own, trusted, wanted)
        return context  # type: ignore[no-any-return] # in its place: trio uses wrap_bio alone

    async def _own(self, combined: Path) -> bytes:
        return _shown(await self.files.read(combined))


@lru_cache(CERTIFICATES_KEPT)
def _shown(pem: bytes) -> bytes:
    """Return the certificate of a file that has its key, too, in DER form."""
    try:
        shown = x509.load_pem_x509_certificate(pem)
        key = load_pem_private_key(pem, None)
    except ValueError as error:
        raise ssl.SSLError(1, f"[SSL] PEM lib: {error}") from error
    if shown.public_key() != key.public_key():
        raise ssl.SSLError(1, "[X509: KEY_VALUES_MISMATCH] key values mismatch")
    return shown.public_bytes(Encoding.DER)
