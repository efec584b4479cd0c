"""trio's TLS streams pass on what they get, once a handshake in memory is over.

What is said then travels as it is (:mod:`gantry.runtime.testing.tls`); to take it through the
buffers of an encryption that there is none of costs more than all the rest of a connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio
from tests.simulation.lean import replaced
from trio import _ssl

from gantry.runtime.testing.tls import MemoryTlsObject

SEND_ALL: Final[Any] = trio.SSLStream.send_all
RECEIVE_SOME: Final[Any] = trio.SSLStream.receive_some
STATE: Final[Any] = _ssl._State  # private to trio


def _is_open(stream: Any) -> bool:  # noqa: ANN401 - trio's
    """Whether a handshake in memory is over, so that bytes travel as they are."""
    is_ours = type(stream._ssl_object) is MemoryTlsObject and stream._state is STATE.OK
    return is_ours and bool(stream._handshook.done)


async def send_all(self: Any, data: bytes) -> None:  # noqa: ANN401 - trio's
    """Send over TLS."""
    if not data or not _is_open(self) or self._inner_send_lock.locked():
        await SEND_ALL(self, data)
        return
    with self._outer_send_conflict_detector:
        try:
            await self.transport_stream.send_all(data)
        except BaseException:
            self._state = STATE.BROKEN
            raise


async def receive_some(self: Any, max_bytes: int | None = None) -> Any:  # noqa: ANN401 - trio's
    """Receive over TLS."""
    if _is_open(self) and not self._inner_recv_lock.locked() and not has_more(self):
        with self._outer_recv_conflict_detector:
            data = await self.transport_stream.receive_some(max_bytes)
        if data:
            return data
        self._incoming.write_eof()
    return await RECEIVE_SOME(self, max_bytes)


def has_more(stream: Any) -> bool:  # noqa: ANN401 - trio's
    """Whether something has come in that was not asked for yet."""
    came = stream._incoming
    return bool(came.pending or came.eof or stream._ssl_object.has_more)


@contextmanager
def bare_tls() -> Iterator[None]:
    """Have trio do so, until the end of the body."""
    with replaced(
        [(trio.SSLStream, "send_all", send_all), (trio.SSLStream, "receive_some", receive_some)]
    ):
        yield
