"""Replies that are rendered before they are asked for.

A reply's message travels as a string inside the envelope's JSON, and is signed together with its
request's salt. All but the salt, the signature and the place in the log is the same for everybody
who asks, and is made once: the message without its end, plain and as it stands in that string.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from gantry.protocols.codec import Json, dump, to_bytes
from gantry.protocols.rconfd import PROTOCOL, ErrorCode, LogOrder, Status

OVERHEAD_BYTES: Final = 400
"""Of a reply that is kept, besides its texts: two objects, two byte strings, a place and a key."""


@frozen
class Rendered:
    """A piece of a message: as it is signed, and as it stands in the envelope."""

    plain: bytes
    escaped: bytes

    @classmethod
    def of(cls, plain: bytes) -> Rendered:
        """Escape a piece of a message."""
        return cls(plain, to_bytes(plain.decode())[1:-1])

    @property
    def size(self) -> int:
        """About how much memory it takes while it is kept, in bytes."""
        return len(self.plain) + len(self.escaped) + OVERHEAD_BYTES


def rendered_value(value: bytes, serial: int, status: Status = Status.OK) -> Rendered:
    """Return the reply, without its end, with an answer that is rendered already."""
    head = b'{"protocol":%d,"status":%d,"answer":' % (PROTOCOL, status)
    return Rendered.of(b'%s%s,"serial":%d' % (head, value, serial))


def rendered_answer(answer: Json, serial: int) -> Rendered:
    """Return the reply, without its end, with an answer."""
    return rendered_value(to_bytes(answer), serial)


def rendered_error(answer: ErrorCode | str) -> Rendered:
    """Return the reply, without its end, with an error; its serial number is 0."""
    said = int(answer) if isinstance(answer, ErrorCode) else answer
    return rendered_value(to_bytes(said), 0, Status.ERROR)


PLAIN_END: Final = Rendered.of(b"}")
"""The end of a reply to a client that did not ask for its place in the log."""


def ordered_end(order: LogOrder) -> Rendered:
    """Return the end of a reply that says where in the log it stands."""
    return Rendered.of(b',"order":%s}' % to_bytes(dump(order)))
