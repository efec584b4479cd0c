"""The wire forms, without any input or output: bytes in, frames out.

A frame on a unix socket is one JSON value in UTF-8 ended by ETX (0x03), which JSON text can not
contain because it escapes control characters. This is LUXI's framing (Ganeti design 2.0,
"LUXI protocol"); all of Gantry's unix sockets use it.
"""

from __future__ import annotations

from typing import Final

from attrs import define, field

from gantry.protocols.codec import from_bytes, to_bytes, to_pieces

ETX: Final = b"\x03"
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""Larger than the rendered configuration of a 20,000-instance cluster, smaller than memory."""


class FramingError(Exception):
    """The peer broke the framing: an oversized or cut-off frame. The connection is lost."""


def encode_frame(value: object) -> bytes:
    """Render one JSON value as a frame."""
    return to_bytes(value) + ETX


def encode_frame_in_pieces(value: object) -> list[bytes]:
    """Render one JSON value as a frame; see :func:`gantry.protocols.codec.to_pieces`."""
    *pieces, last = to_pieces(value)
    return [*pieces, last + ETX]


@define
class FrameDecoder:
    """Cut a byte stream into JSON values, however the stream is chopped."""

    bytes_max: int = FRAME_BYTES_MAX
    _buffer: bytearray = field(factory=bytearray, init=False)
    _scanned: int = field(default=0, init=False)

    def feed(self, data: bytes) -> None:
        """Add received bytes; take them out again with :meth:`next_frame`."""
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """Return the next whole frame without its terminator, or ``None`` for "feed me".

        Raises:
            FramingError: the frame is larger than ``bytes_max``.
        """
        end = self._buffer.find(ETX, self._scanned)
        if max(end, len(self._buffer) if end < 0 else 0) > self.bytes_max:
            raise FramingError(f"a frame is larger than {self.bytes_max} bytes")
        if end < 0:
            self._scanned = len(self._buffer)
            return None
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return frame

    def next_value(self) -> tuple[object] | None:
        """Return the next frame's JSON value in a 1-tuple, or ``None`` for "feed me".

        Raises:
            FramingError: see :meth:`next_frame`.
            gantry.protocols.codec.Malformed: the frame is not JSON.
        """
        frame = self.next_frame()
        return None if frame is None else (from_bytes(frame),)

    def end(self) -> None:
        """Say that the stream ended.

        Raises:
            FramingError: it ended inside a frame.
        """
        if self._buffer:
            raise FramingError("the stream ended inside a frame")
