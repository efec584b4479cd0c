"""Who may call NodeD: members of the cluster may ask, master candidates may change.

TLS lets only certificates of the cluster's own authority in. A certificate names its node by
UUID, and the candidates' certificates are listed by digest in an ssconf file, which only a
candidate can have written.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping

import trio
from attrs import define, field

from gantry.core.ssconf import CANDIDATE_CERTS, FILE_PREFIX, parse_candidate_certs
from gantry.protocols.errors import Forbidden
from gantry.protocols.noded import NodeD
from gantry.protocols.service import Method
from gantry.runtime.environment import Files
from gantry.runtime.http.messages import Request
from gantry.runtime.paths import Paths
from gantry.security.certificates import Certificate

CHANGES_WITHOUT_TICKET = frozenset({"store_ssconf", "forget_keys"})

CHANGING = CHANGES_WITHOUT_TICKET | {
    name
    for name, function in vars(NodeD).items()
    if inspect.iscoroutinefunction(function) and "ticket" in inspect.signature(function).parameters
}
"""The methods that only a master candidate may call."""


async def _nothing_newer() -> None:
    """Stand in for a replica that is not there."""
    await trio.lowlevel.checkpoint()


async def _nobody(_: Certificate) -> bool:
    """Stand in for others that could be asked."""
    await trio.lowlevel.checkpoint()
    return False


@define
class Access:
    """The rules as of the candidate list that the node has."""

    own: Certificate
    """The node's own certificate. Until the node has a candidate list it may change itself: a
    cluster of one node begins so."""
    candidates: Mapping[str, str] | None = None
    """The digests of the candidates' certificates by node UUID; ``None``: no list is there."""

    replicated: Mapping[str, str] = {}
    """The same as the node's replica of the configuration has it: ssconf comes a moment later,
    and a master that dies in that moment must be replaceable."""
    look_again: Callable[[], Awaitable[None]] = _nothing_newer
    """Brings :attr:`replicated` up to date where others write the node's replica: on the master."""
    ask_others: Callable[[Certificate], Awaitable[bool]] = _nobody
    """Says whether those who are known here know of a newer candidate. Who was away while a node
    became one, and the master, would refuse it, and so never hear that it is one."""
    confirmed: dict[str, str] = field(factory=dict, init=False)
    """What they have said since the last list came."""

    async def refresh(self, files: Files, paths: Paths) -> None:
        """Read the candidate list again."""
        path = paths.data / f"{FILE_PREFIX}{CANDIDATE_CERTS}"
        self.confirmed.clear()
        try:
            text = (await files.read(path)).decode(errors="replace")
        except FileNotFoundError:
            self.candidates = None
        else:
            self.candidates = parse_candidate_certs(text)

    async def authorize(self, request: Request, method: Method) -> Forbidden | None:
        """Say whether the sender of a request may call a method."""
        if request.peer is None:
            return Forbidden(method.name, "a node's certificate is required")
        if method.name in CHANGING:
            return await self.authorize_change(request, method)
        return None

    async def authorize_change(self, request: Request, method: Method) -> Forbidden | None:
        """Say whether the sender of a request may change something on this node."""
        if request.peer is None:
            return Forbidden(method.name, "a node's certificate is required")
        return await self._may_change(request.peer, method)

    async def authorize_here(self, method: Method) -> Forbidden | None:
        """Say whether who comes through the door on this node may call a method.

        The door is open to those who could show the node's own certificate, so it counts as shown.
        """
        return await self._may_change(self.own, method) if method.name in CHANGING else None

    async def _may_change(self, peer: Certificate, method: Method) -> Forbidden | None:
        """Say whether the owner of a certificate may change something.

        A candidate is one from the moment in which the configuration says so, so nobody is
        refused by a list that may be older.
        """
        refused = self._refusal(peer, method)
        if refused is not None:
            await self.look_again()
            refused = self._refusal(peer, method)
        if refused is not None and self.candidates and await self.ask_others(peer):
            self.confirmed[peer.common_name] = peer.sha1
            return None
        return refused

    def knows(self, peer: Certificate) -> bool:
        """Whether a certificate is that of a candidate as this node knows them."""
        lists = (self.replicated, self.confirmed, self.candidates or {})
        return any(each.get(peer.common_name) == peer.sha1 for each in lists)

    def _refusal(self, peer: Certificate, method: Method) -> Forbidden | None:
        if self.knows(peer):
            return None
        if not self.candidates:
            if peer.sha256 == self.own.sha256:
                return None
            return Forbidden(method.name, "this node does not know the master candidates yet")
        return Forbidden(
            method.name,
            f"the certificate of node {peer.common_name or '(unnamed)'} is not that of a master "
            "candidate; call from the master, or renew the node's certificate",
        )
