"""The ConfD protocol: signed datagrams that ask a node what the cluster looks like.

A datagram is :data:`MAGIC` and the JSON object ``{"msg", "salt", "hmac"}``. ``msg`` is a string
that holds the request or the reply; ``hmac`` signs salt and message with the cluster's HMAC key.
A request's salt is the time of sending; a reply's salt is the ``rsalt`` of its request, so that
it can not be taken for another's. What is not a proper request is met with silence: whoever does
not know the key learns nothing, not even that somebody listens.

The forms are Ganeti's. Ours adds ``order`` to a request and to its reply: a node that was asked
for it says from which record of the replicated log its answer is, which orders the answers of
several nodes better than serial numbers do.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, TypeVar, cast

from attrs import field, frozen

from gantry.protocols.codec import Json, Malformed, dump, from_bytes, load, to_bytes

_Number = TypeVar("_Number", bound=IntEnum)
_Item = TypeVar("_Item")

PORT: Final = 1814
MAGIC: Final = b"plj0"
PROTOCOL: Final = 1

REQUEST_BYTES_MAX: Final = 4096
"""Servers read no more of a request than this, so a longer one is never a proper one."""

REPLY_BYTES_MAX: Final = 61440
"""The longest datagram that Ganeti's programs send; UDP itself ends a little above."""

CLOCK_SKEW_SECONDS_MAX: Final = 300
"""A request whose time differs more from the server's is stale, or forged from an old one."""

RSALT_CHARACTERS_MAX: Final = 256
"""Clients use a UUID; a server echoes no more than this."""


class RequestType(IntEnum):
    """What can be asked."""

    PING = 0
    NODE_ROLE = 1
    NODE_IP_BY_INSTANCE_IP = 2
    CLUSTER_MASTER = 3
    NODE_IPS = 4
    CANDIDATE_IPS = 5
    INSTANCE_IPS = 6
    NODE_DRBD = 7
    NODE_INSTANCES = 8
    INSTANCE_DISKS = 9
    CONFIG_VALUE = 10
    DATA_COLLECTORS = 11


class NodeRole(IntEnum):
    """The answer to :attr:`RequestType.NODE_ROLE`."""

    MASTER = 0
    CANDIDATE = 1
    OFFLINE = 2
    DRAINED = 3
    REGULAR = 4


class MasterField(IntEnum):
    """What :attr:`RequestType.CLUSTER_MASTER` may be asked for in detail."""

    NAME = 0
    CLUSTER_IP = 1
    NODE_IP = 2


class Status(IntEnum):
    """How a request was answered."""

    OK = 0
    ERROR = 1
    NOT_IMPLEMENTED = 2


class ErrorCode(IntEnum):
    """The answer of a reply with :attr:`Status.ERROR`, unless that is a text."""

    UNKNOWN_ENTRY = 0
    INTERNAL = 1
    ARGUMENT = 2


@frozen
class RequestForm:
    """One row of the protocol's table."""

    query: str
    answer: str
    serial: Literal["none", "cluster", "node", "instance"]
    """Whose serial number the reply carries."""


REQUESTS: Final[dict[RequestType, RequestForm]] = {
    RequestType.PING: RequestForm("anything", "the configuration's version", "none"),
    RequestType.NODE_ROLE: RequestForm("node", "a NodeRole", "cluster"),
    RequestType.NODE_IP_BY_INSTANCE_IP: RequestForm(
        '{"1": IP or "2": [IP], "0": link or null}',
        "IP of the primary node; for a list [[status, answer, serial]]",
        "cluster",
    ),
    RequestType.CLUSTER_MASTER: RequestForm(
        'null or {"3": [MasterField]}', "the master's name, or a list of values", "cluster"
    ),
    RequestType.NODE_IPS: RequestForm("anything", "[IP] of all nodes", "cluster"),
    RequestType.CANDIDATE_IPS: RequestForm("anything", "[IP] of master candidates", "cluster"),
    RequestType.INSTANCE_IPS: RequestForm("link or null", "[IP] of NICs on a link", "cluster"),
    RequestType.NODE_DRBD: RequestForm(
        "node", "[[node, minor, instance, disk, primary|secondary, peer node]]", "node"
    ),
    RequestType.NODE_INSTANCES: RequestForm(
        "node", "[[primary instance objects], [secondary instance objects]]", "node"
    ),
    RequestType.INSTANCE_DISKS: RequestForm("instance", "[disk object]", "instance"),
    RequestType.CONFIG_VALUE: RequestForm(
        "JSON pointer (RFC 6901)", "the configuration's value there", "cluster"
    ),
    RequestType.DATA_COLLECTORS: RequestForm(
        "anything", "{collector: {active, interval in microseconds}}", "cluster"
    ),
}
"""The protocol's table; an unknown entry is answered with an error, whose serial number is 0."""


@frozen
class DetailedQuery:
    """A query that is an object; its keys on the wire are digits."""

    link: str | None = None
    ip: str | None = None
    ips: tuple[str, ...] = ()
    fields: tuple[MasterField, ...] = ()


_WIRE_KEYS: Final = ("0", "1", "2", "3")
"""Link, IP, IPs and fields."""

Query = str | DetailedQuery | None


@frozen
class Request:
    """What a client asks."""

    type: RequestType
    query: Query
    rsalt: str
    """Chosen by the client, and the salt of the reply."""
    order: bool = False
    """Ours: whether the reply shall say where in the log it stands."""


@frozen(order=True)
class LogOrder:
    """Where in the replicated log an answer stands; answers of Ganeti's servers have none."""

    epoch: int
    index: int


@frozen
class Reply:
    """What a server answers. With an error ``answer`` is an :class:`ErrorCode` or a text."""

    status: Status
    answer: Json = field(repr=False)
    serial: int
    order: LogOrder | None = None


@frozen
class Envelope:
    """What a datagram carries; whether the signature is right is another question."""

    msg: str = field(repr=False)
    salt: str
    hmac: str


# --- datagrams -----------------------------------------------------------------------------------


def parse_envelope(datagram: bytes) -> Envelope:
    """Parse a datagram.

    Raises:
        Malformed: it is none of this protocol.
    """
    return Envelope(*open_envelope(datagram))


def open_envelope(datagram: bytes) -> tuple[str, str, str]:
    """Return message, salt and signature of a datagram, at the least cost.

    Most of what reaches an open port gets no further than this.

    Raises:
        Malformed: it is none of this protocol.
    """
    if not datagram.startswith(MAGIC):
        raise Malformed("the magic bytes are missing")
    sent = from_bytes(datagram[len(MAGIC) :])
    if type(sent) is dict and len(sent) == 3:
        msg, salt, hmac = sent.get("msg"), sent.get("salt"), sent.get("hmac")
        if type(msg) is str and type(salt) is str and type(hmac) is str:
            return msg, salt, hmac
    raise Malformed("this is no envelope")


def render_envelope(envelope: Envelope) -> bytes:
    """Render a datagram."""
    return MAGIC + to_bytes(dump(envelope))


_TYPES: Final = {int(each): each for each in RequestType}


@frozen
class _WireReply:
    protocol: int
    status: int
    answer: Json
    serial: int
    order: LogOrder | None = None


def parse_request(msg: str) -> Request:
    """Parse the message of a request. Its protocol number is not looked at, as in Ganeti.

    Raises:
        Malformed: unknown keys, an unknown type, or a query that no request has.
    """
    sent = from_bytes(msg)
    if type(sent) is not dict:
        raise Malformed("this is no request")
    query, order = sent.pop("query", None), sent.pop("order", False)
    number, protocol, rsalt = sent.get("type"), sent.get("protocol"), sent.get("rsalt")
    if len(sent) != 3 or type(protocol) is not int or type(order) is not bool:
        raise Malformed("a request has protocol, type, query and rsalt, and nothing else")
    kind = _TYPES.get(number) if type(number) is int else None
    if kind is None:
        raise Malformed("this is no request of a known type")
    if type(rsalt) is not str or len(rsalt) > RSALT_CHARACTERS_MAX:
        raise Malformed("the reply's salt is none, or too long")
    if query is not None and type(query) is not str:
        query = _parse_detailed(query)
    return Request(kind, query, rsalt, order)


def _parse_detailed(sent: Json) -> DetailedQuery:
    if not isinstance(sent, dict) or not sent.keys() <= {*_WIRE_KEYS}:
        raise Malformed("a query is null, a string or an object with the keys 0 to 3")
    link, ip, ips, numbers = (sent.get(key) for key in _WIRE_KEYS)
    if not (link is None or type(link) is str) or not (ip is None or type(ip) is str):
        raise Malformed("a link and an address are strings")
    fields = tuple(_member(MasterField, number) for number in _listed(numbers, int))
    return DetailedQuery(link, ip, tuple(_listed(ips, str)), fields)


def _listed(sent: Json, kind: type[_Item]) -> list[_Item]:
    """Return a list's items; a list that is not there has none."""
    if sent is None:
        return []
    if type(sent) is not list or any(type(item) is not kind for item in sent):
        raise Malformed(f"expected a list of {kind.__name__}")
    return cast("list[_Item]", sent)


def render_request(request: Request) -> str:
    """Render the message of a request."""
    sent: dict[str, Json] = {
        "protocol": PROTOCOL,
        "type": int(request.type),
        "query": _render_query(request.query),
        "rsalt": request.rsalt,
    }
    if request.order:
        sent["order"] = True
    return to_bytes(sent).decode()


def _render_query(query: Query) -> Json:
    if not isinstance(query, DetailedQuery):
        return query
    wire: dict[str, Json] = {"0": query.link, "1": query.ip}
    lists: dict[str, Json] = {"2": list(query.ips), "3": [int(number) for number in query.fields]}
    return {
        **{key: value for key, value in wire.items() if value is not None},
        **{key: value for key, value in lists.items() if value},
    }


def parse_reply(msg: str) -> Reply:
    """Parse the message of a reply.

    Raises:
        Malformed: it is none.
    """
    sent = load(_WireReply, from_bytes(msg.encode()))
    if sent.protocol != PROTOCOL:
        raise Malformed(f"protocol {sent.protocol}, expected {PROTOCOL}")
    return Reply(_member(Status, sent.status), sent.answer, sent.serial, sent.order)


def render_reply(reply: Reply) -> str:
    """Render the message of a reply."""
    sent: dict[str, Json] = {
        "protocol": PROTOCOL,
        "status": int(reply.status),
        "answer": reply.answer,
        "serial": reply.serial,
    }
    if reply.order is not None:
        sent["order"] = dump(reply.order)
    return to_bytes(sent).decode()


def _member(kind: type[_Number], number: int) -> _Number:
    try:
        return kind(number)
    except ValueError:
        raise Malformed(f"{number} is no {kind.__name__}") from None


def markdown() -> str:
    """Return the reference table that lives in ``doc/design/``."""
    rows = ["| type | request | query | answer | serial number |", "|---|---|---|---|---|"]
    for kind, form in REQUESTS.items():
        cells = (str(int(kind)), f"`{kind.name}`", form.query, form.answer, form.serial)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)
