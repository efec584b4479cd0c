"""The cluster's authority and what it signs."""

from __future__ import annotations

import hashlib
import random
from functools import partial
from operator import mul
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import PolicyBuilder, Store

from gantry.protocols.identity import ClusterUuid, NodeUuid
from gantry.security.authority import (
    P256_ORDER,
    BadSigningRequest,
    Credential,
    NodeSubject,
    issue_node_credential,
    new_authority,
    new_key,
    new_rapi_credential,
    new_signing_request,
    sign_request,
)
from gantry.security.certificates import (
    BadCertificate,
    Certificate,
    expect_node,
    sha1_fingerprint,
)
from gantry.security.hmac_key import new_hmac_key
from gantry.security.pem_files import (
    PUBLIC_MODE,
    candidate_files,
    node_files,
    write_files,
)

NOW = 1_700_000_000.0
NODE = NodeSubject(NodeUuid("3b9c2a5e-aaaa-4bbb-8ccc-0123456789ab"), "node1.example", "192.0.2.1")


def seeded(seed: int = 1) -> random.Random:
    return random.Random(seed)


def authority() -> Credential:
    return new_authority(ClusterUuid("c1"), NOW, seeded().randbytes)


def test_a_key_is_a_function_of_its_randomness() -> None:
    assert (
        new_key(seeded(5).randbytes).private_numbers()
        == new_key(seeded(5).randbytes).private_numbers()
    )
    for randomness in (b"\x00", b"\xff"):
        number = new_key(partial(mul, randomness)).private_numbers().private_value
        assert 0 < number < P256_ORDER


def test_a_joining_node_gets_the_masters_subject_and_keeps_its_key() -> None:
    ca = authority()
    request = new_signing_request("i-am-root", seeded(2).randbytes)
    pem = sign_request(ca, request.request_pem, NODE, NOW, seeded(3).randbytes)
    credential = request.completed(pem)
    certificate = x509.load_pem_x509_certificate(credential.certificate_pem)
    assert Certificate.of_pem(pem).common_name == NODE.uuid
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node1.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    key = serialization.load_pem_private_key(credential.key_pem, None)
    assert key.public_key() == certificate.public_key()


def test_a_strict_verifier_takes_node_certificates_in_both_roles() -> None:
    ca = authority()
    node = issue_node_credential(ca, NODE, NOW, seeded(4).randbytes)
    store = Store([x509.load_pem_x509_certificate(ca.certificate_pem)])
    leaf = x509.load_pem_x509_certificate(node.certificate_pem)
    moment = leaf.not_valid_before_utc.replace(tzinfo=None)
    policy = PolicyBuilder().store(store).time(moment)
    assert policy.build_server_verifier(x509.DNSName("node1.example")).verify(leaf, [])
    assert policy.build_client_verifier().verify(leaf, []).subjects


def test_certificates_are_valid_from_a_little_while_ago() -> None:
    certificate = Certificate.of_pem(authority().certificate_pem)
    assert certificate.not_before.timestamp() == NOW - 3600
    assert certificate.not_after.timestamp() == NOW + 3650 * 86400


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE "]
)
def test_what_is_no_signing_request_is_refused(pem: bytes) -> None:
    with pytest.raises(BadSigningRequest, match="not a signing request"):
        sign_request(authority(), pem, NODE, NOW, seeded().randbytes)


def test_odd_keys_are_refused() -> None:
    for key in (
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
    ):
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        pem = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        with pytest.raises(BadSigningRequest, match="not EC P-256"):
            sign_request(authority(), pem, NODE, NOW, seeded().randbytes)


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    pem = new_signing_request("n", seeded(2).randbytes).request_pem
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1  # the signature's last byte
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(BadSigningRequest, match="not signed by its own key"):
        sign_request(authority(), forged, NODE, NOW, seeded().randbytes)


def test_a_certificate_for_another_key_completes_nothing() -> None:
    ca = authority()
    one, other = (new_signing_request("n", seeded(s).randbytes) for s in (7, 8))
    pem = sign_request(ca, other.request_pem, NODE, NOW, seeded().randbytes)
    with pytest.raises(BadSigningRequest, match="another key"):
        one.completed(pem)
    with pytest.raises(BadSigningRequest, match="no certificate"):
        one.completed(b"nothing")


def test_rapi_certificates_are_their_own_authority() -> None:
    names = ("cluster." + "x" * 60 + ".example", "alias")
    rapi = new_rapi_credential(names, ("192.0.2.9",), NOW, seeded().randbytes)
    certificate = x509.load_pem_x509_certificate(rapi.certificate_pem)
    certificate.verify_directly_issued_by(certificate)
    assert len(Certificate.of_pem(rapi.certificate_pem).common_name) == 64
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == list(names)


def test_fingerprints_are_written_as_ganeti_does() -> None:
    certificate = Certificate.of_pem(authority().certificate_pem)
    expected = hashlib.sha1(certificate.der).hexdigest().upper()
    assert certificate.sha1.replace(":", "") == expected
    assert certificate.sha1.count(":") == 19
    assert certificate.sha256.count(":") == 31
    assert sha1_fingerprint(b"").startswith("DA:39:A3:EE:")
    assert Certificate.of_der(certificate.der) == certificate


def test_what_is_no_certificate_is_said_to_be_none() -> None:
    with pytest.raises(BadCertificate):
        Certificate.of_der(b"\x30\x00")
    with pytest.raises(BadCertificate):
        Certificate.of_pem(b"")


def test_a_node_is_known_by_its_common_name() -> None:
    ca = authority()
    node = Certificate.of_pem(
        issue_node_credential(ca, NODE, NOW, seeded().randbytes).certificate_pem
    )
    check = expect_node(NODE.uuid)
    assert check(node) is None
    assert "shows no certificate" in (check(None) or "")
    assert "not 3b9c2a5e" in (check(Certificate.of_pem(ca.certificate_pem)) or "")


def test_secrets_do_not_show() -> None:
    ca = authority()
    request = new_signing_request("n", seeded().randbytes)
    files = node_files(ca, ca.certificate_pem)
    for shown in (repr(ca), repr(request), repr(files)):
        assert "PRIVATE" not in shown


async def test_files_have_ganetis_names_and_modes() -> None:
    ca = authority()
    node = issue_node_credential(ca, NODE, NOW, seeded(4).randbytes)
    rapi = new_rapi_credential(("c",), ("192.0.2.9",), NOW, seeded(5).randbytes)
    key = new_hmac_key(seeded(6).randbytes)
    written: dict[str, tuple[int, bytes]] = {}

    class Files:
        async def write(self, path: Path, data: bytes, mode: int) -> None:
            written[path.name] = (mode, data)

    wanted = node_files(node, ca.certificate_pem) + candidate_files(ca, rapi, key)
    await write_files(Files(), Path("/data"), wanted)
    assert {name: mode for name, (mode, _) in written.items()} == {
        "gantry-ca.pem": PUBLIC_MODE,
        "server.pem": 0o440,
        "client.pem": 0o440,
        "gantry-ca.key": 0o400,
        "rapi.pem": 0o440,
        "hmac.key": 0o440,
    }
    assert b"PRIVATE" not in written["gantry-ca.pem"][1]
    assert Certificate.of_pem(written["server.pem"][1]).common_name == NODE.uuid
