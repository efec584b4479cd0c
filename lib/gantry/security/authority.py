"""The cluster's certificate authority, and the certificates that nodes and RapiD show.

All keys are EC P-256: small, fast to make, and known to every TLS library in use. Everything is
a function of its arguments: the time and the source of randomness are handed in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gantry.protocols.identity import ClusterUuid, NodeUuid
from gantry.security.certificates import MALFORMED

RandomBytes = Callable[[int], bytes]
"""A source of bytes good enough for keys: ``Environment.random.bytes``."""

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 1825
"""Ganeti's validity of its certificates."""

CLOCK_SKEW: Final = timedelta(hours=1)
"""Certificates are valid from a while ago: the clock of a joining node may be behind."""

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY_RANDOM_BYTES: Final = 40
"""64 bits more than the order has, so that the remainder is not biased (FIPS 186-5, A.2.1)."""

SERIAL_BYTES: Final = 16
COMMON_NAME_CHARACTERS_MAX: Final = 64
"""ub-common-name of RFC 5280; longer names are in the alternative names in full."""


class BadSigningRequest(ValueError):
    """A certificate signing request is none, is not signed by its key, or has an odd key."""


@frozen
class Credential:
    """A certificate with its private key, both in PEM form."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)

    def combined(self) -> bytes:
        """Return both in one text, as Ganeti's ``server.pem`` and the like have them."""
        return self.key_pem + self.certificate_pem

    @classmethod
    def of_combined(cls, pem: bytes) -> Credential:
        """Take such a text apart."""
        key, begin, certificate = pem.partition(b"-----BEGIN CERTIFICATE-----")
        return cls(begin + certificate, key)


@frozen
class SigningRequest:
    """What a joining node makes: the request travels, the key stays."""

    request_pem: bytes
    key_pem: bytes = field(repr=False)

    def completed(self, certificate_pem: bytes) -> Credential:
        """Join the key with the certificate that the authority made for it.

        Raises:
            BadSigningRequest: the certificate is none, or for another key.
        """
        key = serialization.load_pem_private_key(self.key_pem, None)
        try:
            theirs = x509.load_pem_x509_certificate(certificate_pem).public_key()
        except (*MALFORMED, UnsupportedAlgorithm) as error:
            raise BadSigningRequest(f"the authority sent no certificate: {error}") from error
        if theirs != key.public_key():
            raise BadSigningRequest("the authority's certificate is for another key")
        return Credential(certificate_pem, self.key_pem)


@frozen
class NodeSubject:
    """Whom a node certificate names."""

    uuid: NodeUuid
    """The common name: by it peers check who they talk with."""
    name: str
    address: str


def new_key(random: RandomBytes) -> ec.EllipticCurvePrivateKey:
    """Make a private key out of random bytes."""
    number = int.from_bytes(random(KEY_RANDOM_BYTES), "big") % (P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def new_authority(cluster: ClusterUuid, now: float, random: RandomBytes) -> Credential:
    """Make a cluster's authority: it signs node certificates and nothing else.

    Args:
        cluster: part of the authority's name.
        now: seconds since the epoch.
        random: makes the key and the serial number.
    """
    key = new_key(random)
    name = _name(f"Gantry cluster {cluster}")
    usage = _key_usage(signs_certificates=True)
    builder = (
        _builder(name, name, key.public_key(), now, AUTHORITY_DAYS, random)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Credential(_signed(builder, key), _key_pem(key))


def new_signing_request(node: str, random: RandomBytes) -> SigningRequest:
    """Make a key and ask for a certificate; the authority chooses the subject."""
    key = new_key(random)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(node))
    request = builder.sign(key, hashes.SHA256())
    return SigningRequest(request.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def sign_request(
    authority: Credential,
    request_pem: bytes,
    subject: NodeSubject,
    now: float,
    random: RandomBytes,
) -> bytes:
    """Make the certificate of a node (PEM) for the key in its signing request.

    Nothing of the request but its key is used.

    Raises:
        BadSigningRequest: see there.
        ValueError: the subject's name or address can not be in a certificate.
    """
    try:
        request = x509.load_pem_x509_csr(request_pem)
        key, sound = request.public_key(), request.is_signature_valid
    except (*MALFORMED, InvalidSignature, UnsupportedAlgorithm) as error:
        raise BadSigningRequest(f"not a signing request: {error}") from error
    if not sound:
        raise BadSigningRequest("the signing request is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadSigningRequest("the signing request's key is not EC P-256")
    return _node_certificate(authority, key, subject, now, random)


def issue_node_credential(
    authority: Credential, subject: NodeSubject, now: float, random: RandomBytes
) -> Credential:
    """Make key and certificate of a node in one go: the first master's, or at a takeover."""
    key = new_key(random)
    certificate = _node_certificate(authority, key.public_key(), subject, now, random)
    return Credential(certificate, _key_pem(key))


def new_rapi_credential(
    names: tuple[str, ...], addresses: tuple[str, ...], now: float, random: RandomBytes
) -> Credential:
    """Make RapiD's self-signed certificate: clients are given it as the one to trust.

    It is not the authority's: RapiD's clients shall trust no node, and nodes trust none of them.

    Args:
        names: the cluster's name first; it becomes the common name.
        addresses: the master's IP addresses.
        now: seconds since the epoch.
        random: makes the key and the serial number.
    """
    key = new_key(random)
    subject = _name(names[0])
    builder = (
        _builder(subject, subject, key.public_key(), now, CERTIFICATE_DAYS, random)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_alternative_names(names, addresses), critical=False)
    )
    return Credential(_signed(builder, key), _key_pem(key))


def _node_certificate(
    authority: Credential,
    key: ec.EllipticCurvePublicKey,
    subject: NodeSubject,
    now: float,
    random: RandomBytes,
) -> bytes:
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(_name(subject.uuid), issuer.subject, key, now, CERTIFICATE_DAYS, random)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(_alternative_names((subject.name,), (subject.address,)), critical=False)
    )
    return _signed(builder, _load_key(authority))


def _name(common_name: str) -> x509.Name:
    text = common_name[:COMMON_NAME_CHARACTERS_MAX]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative_names(
    names: tuple[str, ...], addresses: tuple[str, ...]
) -> x509.SubjectAlternativeName:
    hosts = [x509.DNSName(name) for name in names]
    return x509.SubjectAlternativeName(
        [*hosts, *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses)]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: float,
    days: int,
    random: RandomBytes,
) -> x509.CertificateBuilder:
    begin = datetime.fromtimestamp(int(now), UTC)
    serial = int.from_bytes(random(SERIAL_BYTES), "big") >> 1 | 1  # positive, as RFC 5280 wants
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(begin - CLOCK_SKEW)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey) -> bytes:
    """Name the signing key, sign, and render as PEM."""
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = builder.add_extension(identifier, critical=False).sign(signer, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load_key(credential: Credential) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(credential.key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an EC key")  # then it was not made here
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
