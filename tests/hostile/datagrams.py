"""The doors of ConfD: requests to RConfD, and the answers that its clients get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.hostile.door import BrokenPromise, Door, decoding
from tests.hostile.examples import examples
from tests.unit.core.config.small_cluster import SAMPLE

from gantry.core.confd.book import AnswerBook
from gantry.core.confd.view import ConfdView
from gantry.daemons.mond.node_instances import _parsed as parsed_instances
from gantry.daemons.rconfd.door import Door as ConfdDoor
from gantry.protocols.codec import Malformed, from_bytes, to_bytes
from gantry.protocols.mond import parse_settings
from gantry.protocols.rconfd import (
    MAGIC,
    REPLY_BYTES_MAX,
    REQUESTS,
    Envelope,
    LogOrder,
    MasterField,
    Reply,
    Request,
    RequestType,
    Status,
    parse_envelope,
    parse_reply,
    render_envelope,
    render_reply,
    render_request,
)
from gantry.runtime.confd_client import _Replies, newest
from gantry.security.hmac_key import sign

KEY: Final = b"0123456789abcdef\n"
NOW: Final = 1_700_000_000.0
RSALT: Final = "reply-salt"
PEER: Final = "192.0.2.1"
INSTANCES: Final = ("inst1.gnt.test", "inst2", "node1.gnt.test", "/cluster/ndparams/ssh_port")


def _answered(datagram: bytes) -> bytes | None:
    """Do with a datagram what RConfD does."""
    door = ConfdDoor(KEY)
    request = door.admit(datagram, NOW)
    if not isinstance(request, Request):
        return None
    book = AnswerBook(ConfdView.of(from_bytes(SAMPLE.read_bytes())))
    return b"".join(door.sealed(*book.answer(request), request.rsalt))


def _serve(datagram: bytes) -> None:
    """See that forged datagrams get silence, and signed ones a proper answer."""
    if _answered(datagram) is not None:
        envelope = parse_envelope(datagram)
        if sign(KEY, envelope.salt, envelope.msg) != envelope.hmac.lower():
            raise BrokenPromise("a forged datagram was answered")


def _serve_signed(msg: bytes) -> None:
    try:
        text = msg.decode()
    except UnicodeDecodeError:
        return
    salt = str(int(NOW))
    answer = _answered(render_envelope(Envelope(text, salt, sign(KEY, salt, text))))
    if answer is None:
        return
    if len(answer) > REPLY_BYTES_MAX:
        raise BrokenPromise(f"an answer of {len(answer)} bytes")
    parse_reply(parse_envelope(answer).msg)


def _requests() -> Iterator[Request]:
    for kind in REQUESTS:
        for query in (None, *INSTANCES):
            yield Request(kind, query, RSALT, order=query is None)
    yield from examples(Request, 30)


def _messages() -> Iterator[bytes]:
    yield from (render_request(each).encode() for each in _requests())
    fields = {"3": [int(each) for each in MasterField]}
    ips = {"0": None, "2": ["192.0.2.1", "::1"]}
    for query in (fields, ips, {"1": "192.0.2.1"}):
        asked = {"protocol": 1, "type": 2, "query": query, "rsalt": RSALT}
        yield to_bytes(asked)
        yield to_bytes({**asked, "type": 3})


def _datagrams() -> Iterator[bytes]:
    salt = str(int(NOW))
    for msg in _messages():
        text = msg.decode()
        yield render_envelope(Envelope(text, salt, sign(KEY, salt, text)))


def _take_reply(datagram: bytes) -> None:
    replies = _Replies(KEY, RSALT, frozenset({PEER}))
    replies.take(datagram, (PEER, 1))


def _take_signed_reply(msg: bytes) -> None:
    """See what clients do with the answers of a server that has the key."""
    try:
        text = msg.decode()
    except UnicodeDecodeError:
        return
    replies = _Replies(KEY, RSALT, frozenset({PEER}))
    replies.take(render_envelope(Envelope(text, RSALT, sign(KEY, RSALT, text))), (PEER, 1))
    for reply in replies.received.values():
        newest([reply, reply])
        parse_settings(reply.answer)
        parsed_instances(reply.answer)


def _reply_messages() -> Iterator[bytes]:
    collectors = {"cpu-avg-load": {"active": True, "interval": 5000000}}
    sample: Any = from_bytes(SAMPLE.read_bytes())
    instances = [list(sample["instances"].values()), []]
    for answer in (None, "node1", collectors, instances, ["192.0.2.1"], [[0, "a", 1]]):
        for order in (None, LogOrder(1, 5)):
            yield render_reply(Reply(Status.OK, answer, 5, order)).encode()


def _reply_datagrams() -> Iterator[bytes]:
    for msg in _reply_messages():
        text = msg.decode()
        yield render_envelope(Envelope(text, RSALT, sign(KEY, RSALT, text)))


_KEYS: Final = (b'"query":', b'"type":', b'"rsalt":', b'"order":true', b'"2":["', b'"/0/"')

DOORS: Final = (
    Door(
        "confd",
        ("daemons.rconfd.door", "daemons.rconfd.main", "protocols.rconfd"),
        decoding(_serve),
        _datagrams,
        (MAGIC, *_KEYS),
    ),
    Door(
        "confd-signed",
        ("daemons.rconfd.door", "protocols.rconfd", "core.confd.answers"),
        decoding(_serve_signed),
        _messages,
        (*_KEYS, *(b'"type":%d' % kind for kind in RequestType)),
    ),
    Door(
        "confd-answers",
        ("runtime.confd_client",),
        decoding(_take_reply),
        _reply_datagrams,
        (MAGIC,),
    ),
    Door(
        "confd-answers-signed",
        ("runtime.confd_client", "daemons.mond.settings", "daemons.mond.node_instances"),
        decoding(_take_signed_reply, Malformed),
        _reply_messages,
    ),
)
