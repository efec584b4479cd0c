"""Messages in the form in which our own programs write them, read at one glance.

A message that came whole, alone and in that form is taken apart here; h11 reads all others. The
form is narrower than HTTP allows: what is taken for plain here h11 would read in the same way
(a property test says so), and whatever it would refuse is not plain.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from attrs import frozen

from gantry.runtime.http.messages import Headers, Reply

HEAD_BYTES_MAX: Final = 1024
"""Several times what our own programs send; heads are remembered, so they have to be small."""

HEADS_KEPT: Final = 256
"""So many heads are remembered: on a connection that is kept they are much the same."""

LENGTH_DIGITS_MAX: Final = 9
"""More than any body may have: what is larger is refused elsewhere."""

_VALUE: Final = rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?"
_LINE: Final = rb"[a-z0-9-]{1,64}: " + _VALUE
_FIELDS: Final = rb"((?:" + _LINE + rb"\r\n){1,32})\r\n"
_FIELD: Final = re.compile(_LINE)
_REQUEST: Final = re.compile(rb"(GET|POST|PUT|DELETE) (/[\x21-\x7e]*) HTTP/1\.1\r\n" + _FIELDS)
_REPLY: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) [A-Za-z' -]*\r\n" + _FIELDS)

_STEERING: Final = frozenset(
    {"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say how the connection goes on: h11's business."""

_BODILESS: Final = frozenset({204, 304})


@lru_cache(HEADS_KEPT)
def is_plain_field(name: str, value: str) -> bool:
    """Whether a header can stand in a plain message."""
    fits = len(name) + len(value) < HEAD_BYTES_MAX and f"{name}: {value}".isascii()
    return fits and name not in _STEERING and bool(_FIELD.fullmatch(f"{name}: {value}".encode()))


@frozen
class PlainHead:
    """The head of a request."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    length: int
    """Of the body, in bytes."""
    http_version: bytes = b"1.1"


@frozen
class PlainReplyHead:
    """The head of a reply."""

    status: int
    headers: Headers
    length: int
    """Of the body, in bytes."""


def head_bytes(data: bytes) -> bytes | None:
    """Return the head with which a message begins, if it is short enough to be a plain one."""
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
    return None if end < 0 else data[: end + 4]


@lru_cache(HEADS_KEPT)
def request_head(head: bytes) -> PlainHead | None:
    """Read the head of a request; ``None``: it is not a plain one."""
    match = _REQUEST.fullmatch(head)
    fields = None if match is None else _fields(match[3])
    if match is None or fields is None or "host" not in dict(fields):
        return None
    length = _length(fields)
    if length is None:
        return None
    raw = tuple((name.encode(), value.encode()) for name, value in fields)
    return PlainHead(match[1], match[2], raw, length)


@lru_cache(HEADS_KEPT)
def reply_head(head: bytes) -> PlainReplyHead | None:
    """Read the head of a reply; ``None``: it is not a plain one."""
    match = _REPLY.fullmatch(head)
    fields = None if match is None else _fields(match[2])
    if match is None or fields is None or "content-length" not in dict(fields):
        return None
    length, status = _length(fields), int(match[1])
    return None if length is None or status in _BODILESS else PlainReplyHead(status, fields, length)


def plain_request(data: bytes) -> tuple[PlainHead, bytes] | None:
    """Return head and body, if ``data`` is one whole plain request and nothing else."""
    head = head_bytes(data)
    plain = None if head is None else request_head(head)
    if head is None or plain is None or len(data) != len(head) + plain.length:
        return None
    return plain, data[len(head) :]


def plain_reply(data: bytes) -> Reply | None:
    """Return the reply, if ``data`` is one whole plain reply, to no HEAD, and nothing else."""
    head = head_bytes(data)
    plain = None if head is None else reply_head(head)
    if head is None or plain is None or len(data) != len(head) + plain.length:
        return None
    return Reply(plain.status, plain.headers, data[len(head) :])


def _fields(lines: bytes) -> Headers | None:
    """Return the headers, unless one is there twice or steers the connection."""
    pairs = [line.partition(": ") for line in lines.decode("ascii").split("\r\n")[:-1]]
    fields = tuple((name, value) for name, _, value in pairs)
    names = {name for name, _ in fields}
    return None if len(names) < len(fields) or names & _STEERING else fields


def _length(fields: Headers) -> int | None:
    """Return the length of the body; ``None``: what is said of it is odd."""
    digits = dict(fields).get("content-length", "0")
    return int(digits) if digits.isdigit() and len(digits) <= LENGTH_DIGITS_MAX else None
