"""Asking the master candidates' RConfDs what the cluster looks like.

Each of several candidates gets the same signed datagram; the newest of their answers counts. A
datagram may get lost and a candidate may be down or behind, so no single one is relied upon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import trio
from attrs import define, field, frozen

from gantry.protocols.codec import Malformed
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.rconfd import (
    PORT,
    Envelope,
    LogOrder,
    Query,
    Reply,
    Request,
    RequestType,
    parse_envelope,
    parse_reply,
    render_envelope,
    render_request,
)
from gantry.runtime.environment import DatagramSocket, Environment
from gantry.security.hmac_key import is_signed, sign
from gantry.security.pem_files import HMAC_KEY

COVERAGE: Final = 6
"""How many candidates are asked, unless there are fewer; as in Ganeti."""

EXPIRY_SECONDS: Final = 10.0
"""After this time no more answers are waited for; as in Ganeti."""

LATE_SECONDS: Final = 1.0
"""How long others are waited for after an answer: candidates may be down, of all times now."""

CANDIDATES_FILE: Final = "ssconf_master_candidates_ips"


class NoAnswer(ConnectionLost):
    """No candidate answered: none is up, none has this key, or the clocks differ too much."""


@frozen
class Answer:
    """The newest answer, and how sure it is."""

    reply: Reply
    answered: int
    """How many candidates answered."""
    consistent: bool
    """Whether all that were as new said the same."""


@define
class ConfdClient:
    """Asks candidates; each question has a socket of its own."""

    env: Environment
    key: bytes = field(repr=False)
    port: int = PORT

    async def ask(
        self,
        candidates: Sequence[str],
        type_: RequestType,
        query: Query = None,
        *,
        order: bool = True,
        expiry_seconds: float = EXPIRY_SECONDS,
    ) -> Answer:
        """Ask several candidates at once and return the newest of enough answers.

        Args:
            candidates: their IP addresses, all of one family.
            type_: what to ask.
            query: about what; see :data:`gantry.protocols.rconfd.REQUESTS`.
            order: whether answers are to be ordered by their place in the replicated log. Ganeti's
                own servers do not answer such a request.
            expiry_seconds: with fewer answers than wanted, those until then are enough, or until
                :data:`LATE_SECONDS` after the last one.

        Raises:
            NoAnswer: there was not one.
            OSError: no socket can be bound.
        """
        peers = self._chosen(candidates)
        rsalt = self.env.random.uuid()
        datagram = self._signed(Request(type_, query, rsalt, order))
        socket = await self.env.network.udp(await self.env.address(), 0)
        try:
            replies = _Replies(self.key, rsalt, frozenset(peers))
            for peer in peers:
                await _send(socket, datagram, (peer, self.port))
            with trio.move_on_after(expiry_seconds) as scope:
                while len(replies.received) < wanted_replies(len(peers)):
                    if replies.take(*await socket.receive()):
                        late = trio.current_time() + LATE_SECONDS
                        scope.deadline = min(scope.deadline, late)
        finally:
            socket.close()
        if not replies.received:
            text = f"none of {len(peers)} master candidates answered within {expiry_seconds:g} s"
            raise NoAnswer(text)
        return newest(list(replies.received.values()))

    def _chosen(self, candidates: Sequence[str]) -> list[str]:
        """Choose whom to ask, at random: the load is spread."""
        shuffled = sorted(dict.fromkeys(candidates), key=lambda _: self.env.random.bytes(8))
        return shuffled[:COVERAGE]

    def _signed(self, request: Request) -> bytes:
        salt, msg = str(int(self.env.clock.now())), render_request(request)
        return render_envelope(Envelope(msg, salt, sign(self.key, salt, msg)))


@define
class _Replies:
    """The replies to one request, one of each peer."""

    key: bytes = field(repr=False)
    rsalt: str
    peers: frozenset[str]
    received: dict[str, Reply] = field(factory=dict, init=False)

    def take(self, datagram: bytes, sender: tuple[str, int]) -> bool:
        """Keep a datagram, and say so, if it is a reply to the request, of somebody asked."""
        if sender[0] not in self.peers:
            return False
        try:
            envelope = parse_envelope(datagram)
            if envelope.salt == self.rsalt and is_signed(
                self.key, envelope.salt, envelope.msg, envelope.hmac
            ):
                self.received.setdefault(sender[0], parse_reply(envelope.msg))
                return True
        except Malformed:
            pass
        return False


async def _send(socket: DatagramSocket, datagram: bytes, to: tuple[str, int]) -> None:
    try:
        await socket.send(datagram, to)
    except OSError:
        return  # no way there: as good as lost


def wanted_replies(peers: int) -> int:
    """Return how many of so many peers have to answer before the rest is not waited for."""
    if peers < 3:
        return peers
    return peers - 1 if peers < 5 else peers // 2 + 1


def newest(replies: Sequence[Reply]) -> Answer:
    """Return the newest of at least one reply: by its place in the log, else by its serial."""

    def age(reply: Reply) -> tuple[LogOrder, int]:
        return reply.order or LogOrder(0, 0), reply.serial

    best = max(replies, key=age)
    alike = [reply for reply in replies if age(reply) == age(best)]
    consistent = all((r.status, r.answer) == (best.status, best.answer) for r in alike)
    return Answer(best, len(replies), consistent)


async def known_candidates(env: Environment) -> tuple[str, ...]:
    """Return the IP addresses of the master candidates as this node knows them."""
    try:
        text = await env.files.read(env.paths.data / CANDIDATES_FILE)
    except FileNotFoundError:
        return ()
    return tuple(re.findall(r"[0-9a-fA-F:.]+", text.decode(errors="replace")))


async def ask_cluster(env: Environment, type_: RequestType, query: Query = None) -> Answer:
    """Ask the master candidates that this node knows, with the key that it has.

    Raises:
        NoAnswer: there is no key or no candidate here, or none answered.
    """
    try:
        key = await env.files.read(env.paths.data / HMAC_KEY)
    except FileNotFoundError:
        raise NoAnswer(f"{env.node} has no {HMAC_KEY}: it is in no cluster") from None
    candidates = await known_candidates(env)
    if not candidates:
        raise NoAnswer(f"{env.node} knows no master candidates")
    return await ConfdClient(env, key).ask(candidates, type_, query)
