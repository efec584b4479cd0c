"""Whatever bytes a peer sends, however chopped: the server neither fails nor hangs nor lies."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Sequence

import h11
import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.runtime.http.serving import RawPeer, echo, new_server
from typing_extensions import override

from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import BadTarget, Target
from gantry.runtime.http.server import HttpServer
from gantry.runtime.http.service import parse_protocol

LIMITS = Limits(header_bytes=2000, body_bytes=500)
LONGEST_SECONDS = LIMITS.header_seconds + LIMITS.body_seconds + LIMITS.write_seconds

VALID = (
    b"GET /2/instances?bulk=1 HTTP/1.1\r\nHost: n\r\nAccept: */*\r\n\r\n",
    b"DELETE /%C3%BC/a%20b?x=%20&y HTTP/1.1\r\nHost: n\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: n\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /x HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: n\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    b"HEAD / HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: n\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
)

DICTIONARY = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b"%", b"%FF", b"-1", b"0x10", b"9" * 20,
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Expect: 100-continue\r\n", b"HTTP/1.1", b"HTTP/9.9", b"Host: m\r\n", b"\xc3\xbc", b"A" * 3000,
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw some valid requests in a row with a few mistakes in them."""
    data = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("insert", "cut", "replace", "repeat"))):
            case "insert":
                data = data[:place] + draw(st.sampled_from(DICTIONARY)) + data[place:]
            case "cut":
                data = data[:place] + data[place + draw(st.integers(1, 20)) :]
            case "replace":
                data = data[:place] + draw(st.binary(min_size=1, max_size=3)) + data[place + 1 :]
            case _:
                data = data[:place] + data[place : place + 30] + data[place:]
    return data


@st.composite
def chopped(draw: st.DrawFn) -> tuple[bytes, ...]:
    """Draw bytes and where they are cut when they are sent."""
    data = draw(st.one_of(mutated(), st.binary(max_size=200)))
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    ends = [*cuts, len(data)]
    return tuple(data[a:b] for a, b in zip([0, *cuts], ends, strict=True))


async def _converse(server: HttpServer, pieces: Sequence[bytes], *, leave: bool) -> bytes:
    """Send pieces, then close or wait; return all that the server said before it closed."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        with contextlib.suppress(trio.BrokenResourceError):  # it may have closed already
            for piece in pieces:
                await ours.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
        if leave:
            await ours.send_eof()
        with trio.fail_after(LONGEST_SECONDS * (len(pieces) + 20)):
            return await RawPeer(ours).rest()


async def _good_request_works(server: HttpServer) -> None:
    sent = b"GET /after HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
    answer = await _converse(server, [sent], leave=False)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"path":"/after"' in answer


def _statuses(answers: bytes) -> list[int]:
    """Read what a client would: whole answers, one after the other, and nothing else.

    The methods of the requests are not known here, so answers to HEAD are told by what follows.
    """
    statuses: list[int] = []
    while answers:
        match = re.match(rb"HTTP/1\.1 ([1-5]\d\d) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n", answers)
        assert match is not None, answers
        statuses.append(int(match[1]))
        answers = answers[match.end() :]
        length = re.search(rb"(?i)content-length: (\d+)\r\n", match[2])
        if length is not None and not answers.startswith(b"HTTP/1.1 ") and answers:
            answers = answers[int(length[1]) :]
    return statuses


class _Kept(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.ERROR)
        self.records = records

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.parametrize("watching", [False, True])
@settings(deadline=None)  # durations are no property of the server
@example(pieces=(b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 3\r\n\r\nab",), leave=True)
@example(pieces=(b"G", b"ET / HTTP/1.0\r", b"\n\r", b"\n"), leave=False)
@given(pieces=chopped(), leave=st.booleans())
def test_no_bytes_upset_the_server(pieces: tuple[bytes, ...], leave: bool, watching: bool) -> None:
    failures: list[logging.LogRecord] = []

    async def main() -> bytes:
        options = ServerOptions(limits=LIMITS, cancel_on_disconnect=watching)
        server = new_server(echo, options)
        answers = await _converse(server, pieces, leave=leave)
        await _good_request_works(server)
        assert server.connections == 0
        return answers

    handler = _Kept(failures)
    logging.getLogger("http").addHandler(handler)
    try:
        answers = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logging.getLogger("http").removeHandler(handler)
    assert failures == []
    statuses = _statuses(answers)
    assert 500 not in statuses
    assert b"Traceback" not in answers
    final = [status for status in statuses if status >= 200]
    assert all(status == 200 for status in final[:-1]), "only the last answer can be a refusal"


@settings(deadline=None)
@given(
    bodies=st.lists(st.binary(max_size=400), min_size=1, max_size=4),
    chunk=st.integers(1, 50),
    data=st.data(),
)
def test_good_requests_are_understood_however_chopped(
    bodies: list[bytes], chunk: int, data: st.DataObject
) -> None:
    sent = b""
    for number, body in enumerate(bodies):
        framing = ("transfer-encoding", "chunked")
        if data.draw(st.booleans()):
            framing = ("content-length", str(len(body)))
        last = [("connection", "close")] if number == len(bodies) - 1 else []
        one = h11.Connection(h11.CLIENT)
        request = h11.Request(
            method="POST", target=f"/{number}", headers=[("host", "n"), framing, *last]
        )
        sent += one.send(request) or b""
        for start in range(0, len(body), chunk):
            sent += one.send(h11.Data(data=body[start : start + chunk])) or b""
        sent += one.send(h11.EndOfMessage()) or b""
    size = data.draw(st.integers(1, 100))
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]

    async def main() -> bytes:
        return await _converse(new_server(echo), pieces, leave=False)

    answers = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert _statuses(answers) == [200] * len(bodies)


@given(st.text())
def test_targets_are_parsed_or_refused(text: str) -> None:
    for sent in (text, f"/{text}", f"http://h/{text}"):
        try:
            target = Target.of(sent)
        except BadTarget:
            continue
        assert target.path == "*" or target.path.startswith("/")


@given(st.text())
def test_protocol_headers_are_parsed_or_refused(text: str) -> None:
    parsed = parse_protocol(text)
    assert parsed is None or 0 <= parsed.lowest <= parsed.highest
