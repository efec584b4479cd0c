"""A connection in memory takes at once what its buffer has room for, as a socket does."""

from __future__ import annotations

import pytest
import trio
from tests.unit.runtime.test_silent_machine import THERE, Two

from gantry.runtime.rpc import written_at_once
from gantry.runtime.testing.streams import BUFFER_BYTES


async def connected() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Return both ends of a connection."""
    two = Two()
    near = await two.connected()
    listener = two.sockets[THERE].tcp[80]
    return near, await listener.accept()


async def test_it_arrives(autojump_clock: object) -> None:
    near, far = await connected()
    assert written_at_once(near, b"one") == b""
    assert written_at_once(near, b"two") == b""
    assert await far.receive_some() == b"onetwo"


async def test_what_has_no_room_is_left(autojump_clock: object) -> None:
    near, far = await connected()
    assert written_at_once(near, bytes(BUFFER_BYTES + 5)) == bytes(5)
    assert written_at_once(near, b"more") == b"more"
    await far.receive_some(2)
    assert written_at_once(near, b"more") == b"re"


async def test_nobody_reads(autojump_clock: object) -> None:
    near, far = await connected()
    await far.aclose()
    await trio.sleep(1.0)
    with pytest.raises(trio.BrokenResourceError):
        written_at_once(near, b"one")
    await near.aclose()
    with pytest.raises(trio.ClosedResourceError):
        written_at_once(near, b"one")
