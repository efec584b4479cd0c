"""How a machine becomes a node: the Join service, which the master's NodeD serves.

Carried as the NodeD protocol is, on the same port. The machine has no certificate yet, so it
proves by a one-time token that it was invited; and it knows the cluster by the fingerprint of
its authority, which the token carries:

1. ``authority``, over TLS that verifies nothing: the answer's fingerprint must be the token's.
2. ``admit``, over TLS that trusts that authority alone: the machine sends the secret of its token
   and a signing request, whose key stays where it is, and gets all that a node needs.

A token that was used, has expired or names another node is refused, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from attrs import field, frozen
from typing_extensions import override

from gantry.protocols.errors import Fault, ServiceError
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.service import Service, raises


@frozen
class Invitation:
    """A token that was issued."""

    text: str = field(repr=False)
    """The word for the joining machine's command line."""
    node: str
    expires: float
    """Seconds since the epoch."""


@frozen
class Admission:
    """All that a machine needs to be a node."""

    uuid: NodeUuid
    certificate_pem: str
    """The node's own certificate, for the key that it has made itself."""
    authority_pem: str
    cluster_name: str
    epoch: Epoch
    secrets: Mapping[str, str] = field(repr=False)
    """Files of the data directory by name: the HMAC key, RapiD's certificate. For a node that was
    taken over, ``server.pem`` with the key and certificate that were made for it then."""
    ssconf: Mapping[str, str]
    """The cluster's ssconf values as of now."""


@frozen
class JoinRefused(ServiceError):
    """The machine may not join, or the master can not admit it; nothing was changed."""

    text: str

    @override
    def sentence(self) -> str:
        return self.text


class Join(Protocol):
    """The master's side of joining."""

    async def authority(self) -> str:
        """Return the certificate of the cluster's authority, in PEM form. Open to everybody."""

    @raises(JoinRefused, Fault)
    async def admit(self, node: str, address: str, secret: str, request_pem: str) -> Admission:
        """Make a machine a node. Open to everybody with a token."""

    @raises(JoinRefused, Fault)
    async def issue(self, node: str, lifetime_seconds: float) -> Invitation:
        """Issue a token for a node name; an unused one for the same name is revoked."""


JOIN: Final = Service(Join)

OPEN_PATHS: Final = frozenset({"/Join", "/Join/authority", "/Join/admit"})
"""What may be asked for without a certificate."""

OPEN_METHODS: Final = frozenset({"authority", "admit"})

LIFETIME_SECONDS: Final = 3600.0
"""Of a token, unless another is asked for: time enough to walk to the machine."""

LIFETIME_SECONDS_MAX: Final = 7 * 86400.0
"""A token opens the cluster to whoever holds it."""
