"""What a certificate says: names, validity and the fingerprints by which peers are known.

Ganeti identifies node certificates by the SHA-1 digest of their DER form, written in upper-case
hexadecimal pairs separated by colons; everything of ours uses SHA-256 in the same notation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final, NewType

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gantry.protocols.identity import NodeUuid

Fingerprint = NewType("Fingerprint", str)
"""``AA:BB:...``: the digest of a certificate's DER form, SHA-1 or SHA-256 by its length."""


MALFORMED: Final = (ValueError, x509.InvalidVersion)
"""What the library raises of bytes that are none of what they should be."""


class BadCertificate(ValueError):
    """Bytes that should be a certificate are none, or lack what we need of them."""


def _pairs(digest: bytes) -> Fingerprint:
    return Fingerprint(digest.hex(":").upper())


def sha1_fingerprint(der: bytes) -> Fingerprint:
    """Return the digest by which Ganeti lists candidate certificates."""
    return _pairs(hashlib.sha1(der, usedforsecurity=False).digest())


def sha256_fingerprint(der: bytes) -> Fingerprint:
    """Return the digest by which a joining node knows the cluster's authority."""
    return _pairs(hashlib.sha256(der).digest())


@frozen
class Certificate:
    """A parsed certificate; whether anybody should trust it is another question."""

    der: bytes
    common_name: str
    """The subject's (last) common name, ``""`` if there is none; of a node: its UUID."""
    sha1: Fingerprint
    sha256: Fingerprint
    not_before: datetime
    not_after: datetime

    @classmethod
    def of_der(cls, der: bytes) -> Certificate:
        """Parse the DER form.

        Raises:
            BadCertificate: it is no certificate.
        """
        try:
            return cls._of(x509.load_der_x509_certificate(der))
        except MALFORMED as error:
            raise BadCertificate(f"not a certificate in DER form: {error}") from error

    @classmethod
    def of_pem(cls, pem: bytes) -> Certificate:
        """Parse the first certificate in PEM text; keys beside it are passed over.

        Raises:
            BadCertificate: there is no certificate in it.
        """
        try:
            return cls._of(x509.load_pem_x509_certificate(pem))
        except MALFORMED as error:
            raise BadCertificate(f"no certificate in the PEM text: {error}") from error

    @classmethod
    def _of(cls, parsed: x509.Certificate) -> Certificate:
        der = parsed.public_bytes(Encoding.DER)
        names = [str(n.value) for n in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        return cls(
            der=der,
            common_name=names[-1] if names else "",
            sha1=sha1_fingerprint(der),
            sha256=sha256_fingerprint(der),
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
        )


def expect_node(node: NodeUuid) -> Callable[[Certificate | None], str | None]:
    """Return a check that a peer's (already verified) certificate is a certain node's.

    It says what is wrong, or ``None``: the ``check_peer`` of the HTTP client.
    """

    def check(certificate: Certificate | None) -> str | None:
        if certificate is None:
            return "it shows no certificate"
        if certificate.common_name != node:
            return f"it is node {certificate.common_name!r:.80}, not {node}"
        return None

    return check
