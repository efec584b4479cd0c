"""What is taken for a plain message h11 reads in the same way; what is written plainly, too."""

from __future__ import annotations

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from gantry.runtime.http.answers import headers_of, plain_answer
from gantry.runtime.http.exchange import Outgoing, plain_form
from gantry.runtime.http.messages import Headers, Response, phrase_of
from gantry.runtime.http.plain import plain_reply, plain_request

REQUESTS = (
    b"POST /Replicas/append_records HTTP/1.1\r\nhost: n:1811\r\ncontent-type: application/json\r\n"
    b"gantry-protocol: Replicas/1\r\ncontent-length: 5\r\n\r\n[1,2]",
    b"GET /2/info?a=%20 HTTP/1.1\r\nhost: n\r\naccept: */*\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nhost: n\r\ncontent-length: 2\r\n\r\nok",
)
REPLIES = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: Gantry\r\n"
    b"content-type: application/json\r\ncontent-length: 11\r\n\r\n" + b'{"ok":null}',
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
)
WORDS = (
    b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b": ", b"host: m\r\n", b"HTTP/1.0", b"\xc3",
    b"content-length: 5\r\n", b"content-length: 05\r\n", b"connection: close\r\n", b"204", b"HEAD",
    b"transfer-encoding: chunked\r\n", b"expect: 100-continue\r\n", b"x: \r\n", b"X: y\r\n", b"100",
    b"+5", b"-5", b"9" * 20, b"upgrade: h2c\r\n", b"a: b\r\n c: d\r\n",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, valid: tuple[bytes, ...]) -> bytes:
    """Draw a message with a few mistakes in it."""
    data = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 4))
        word = draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=2)))
        data = data[:place] + word + data[place + size :]
    return data


def body_of(connection: h11.Connection) -> bytes:
    """Return the body that h11 reads to its end."""
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return body


@given(mutated(REQUESTS))
@example(REQUESTS[0])
def test_h11_reads_the_same_request(data: bytes) -> None:
    plain = plain_request(data)
    if plain is None:
        assert data not in REQUESTS
        return
    head, body = plain
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target, event.http_version) == (
        head.method,
        head.target,
        head.http_version,
    )
    assert tuple(event.headers) == head.headers
    assert body_of(connection) == body
    assert connection.trailing_data == (b"", False)
    assert connection.their_state is h11.DONE  # and no MUST_CLOSE


@given(mutated(REPLIES))
@example(REPLIES[0])
def test_h11_reads_the_same_reply(data: bytes) -> None:
    plain = plain_reply(data)
    if plain is None:
        assert data not in REPLIES
        return
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "n")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == plain.status
    read = tuple((name.decode(), value.decode()) for name, value in event.headers)
    assert read == plain.headers
    assert body_of(connection) == plain.body
    assert connection.trailing_data == (b"", False)
    assert connection.their_state is h11.DONE  # and no MUST_CLOSE


NAMES = st.sampled_from(("allow", "x-a", "gantry-protocol", "connection", "X-A", "content-length"))
VALUES = st.one_of(
    st.sampled_from(("a", "a b", "close", "a\r\nb: c", "", " a")), st.text(max_size=3)
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=2).map(tuple)


@given(HEADERS, st.sampled_from((200, 204, 304, 404, 500)), st.binary(max_size=5))
def test_h11_writes_the_same_answer(headers: Headers, status: int, body: bytes) -> None:
    response = Response(status, body, "application/json", headers)
    data = plain_answer(response, "Gantry", 1e9)
    if data is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(REQUESTS[1])
    while not isinstance(connection.next_event(), h11.EndOfMessage):
        pass
    fields = headers_of(response, "Gantry", 1e9)
    head = h11.Response(status_code=status, headers=fields, reason=phrase_of(status).encode())
    written = connection.send(head) or b""
    written += connection.send(h11.Data(data=body)) or b""
    assert data == written + (connection.send(h11.EndOfMessage()) or b"")
    assert connection.our_state is h11.DONE


TARGETS = st.sampled_from(("/a", "/a?b=%20", "*", "/a HTTP/1.1\r\nx: y", "/ü", "/a b"))


@given(HEADERS, TARGETS, st.sampled_from(("GET", "POST", "HEAD", "get")), st.binary(max_size=5))
def test_h11_writes_the_same_request(
    headers: Headers, target: str, method: str, body: bytes
) -> None:
    outgoing = Outgoing(method, target, (("host", "n"), *headers), body)
    data = plain_form(outgoing)
    if data is None:
        return
    fields = [*outgoing.headers]
    if body or method != "GET":
        fields.append(("content-length", str(len(body))))
    connection = h11.Connection(h11.CLIENT)
    written = connection.send(h11.Request(method=method, target=target, headers=fields)) or b""
    if body:
        written += connection.send(h11.Data(data=body)) or b""
    assert data == written + (connection.send(h11.EndOfMessage()) or b"")
    assert plain_request(data) is not None
