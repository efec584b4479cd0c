"""TLS contexts: who verifies whom, and how strictly.

Between nodes both ends verify the other's certificate against the cluster's authority alone.
Host names are not compared: a node is who its certificate's common name (its UUID) says, which
:func:`gantry.security.certificates.expect_node` and NodeD's authorization check.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal, assert_never

ClientCertificates = Literal["required", "optional", "none"]
"""What a server wants of its clients. ``optional`` verifies one that is shown: NodeD's ``/join``
is for machines that have none yet, and NodeD refuses everything else without one."""


def server_context(
    combined: Path, clients: ClientCertificates, authority_pem: bytes | None = None
) -> ssl.SSLContext:
    """Return the context of a server. Reads files: call it at start, or in a thread.

    Args:
        combined: key and certificate in one PEM file.
        clients: what is wanted of clients.
        authority_pem: who signs clients' certificates; needed unless ``clients`` is ``none``.

    Raises:
        OSError: the file can not be read.
        ssl.SSLError: it holds no matching key and certificate.
    """
    context = _strict(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(combined)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    # A resumed session would outlive the removal of its node from the cluster, and tickets sent
    # after the handshake break connections that are closed before they were read.
    context.num_tickets = 0
    match clients:
        case "required":
            context.verify_mode = ssl.CERT_REQUIRED
        case "optional":
            context.verify_mode = ssl.CERT_OPTIONAL
        case "none":
            context.verify_mode = ssl.CERT_NONE
            return context
        case _:
            assert_never(clients)
    if authority_pem is None:
        raise ValueError("client certificates can not be verified without an authority")
    context.load_verify_locations(cadata=authority_pem.decode("ascii"))
    return context


def client_context(authority_pem: bytes, combined: Path | None = None) -> ssl.SSLContext:
    """Return the context of a client that trusts one authority and nobody else.

    Args:
        authority_pem: who signs the server's certificate (for RapiD: that certificate itself).
        combined: this client's own key and certificate in one PEM file, if it has any.

    Raises:
        OSError: the file can not be read.
        ssl.SSLError: it holds no matching key and certificate.
    """
    context = _strict(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority_pem.decode("ascii"))
    if combined is not None:
        context.load_cert_chain(combined)
    return context


def introduction_context() -> ssl.SSLContext:
    """Return a client context that verifies nothing.

    Good for one thing: a joining node fetches the cluster's authority with it, compares that with
    the fingerprint in its token, and connects again with :func:`client_context`. No secret may
    travel over it.
    """
    context = _strict(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _strict(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    return context
