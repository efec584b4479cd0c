"""What a door is: where bytes from outside come in, and what must be true whatever they are.

A door's ``take`` hands the bytes to the product's own code and raises only if a promise was broken:
an error came out that the door does not declare, something was logged as a defect, a task went on
for ever, or what was refused had changed something.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import trio
import trio.testing
from attrs import field, frozen
from typing_extensions import override

VIRTUAL_SECONDS_MAX: Final = 100_000.0
"""By trio's own clock, which jumps: longer than all deadlines of a conversation together."""

SILENCE_SECONDS: Final = 1000.0
"""After which a peer who waits for the product to say something hangs up."""

STEPS_MAX: Final = 200_000
"""Of trio's tasks for one input. A hundred times what the busiest door takes: they spin."""


@frozen
class Door:
    """One row of the table."""

    name: str
    drives: tuple[str, ...]
    """The modules that read the bytes, without ``gantry.``."""
    take: Callable[[bytes], None] = field(repr=False)
    seeds: Callable[[], Iterable[bytes]] = field(repr=False)
    """Proper input, as the product's own writers make it."""
    words: tuple[bytes, ...] = ()
    """What means something there, to be strewn in."""


class BrokenPromise(AssertionError):
    """The product did with hostile input what it must not do."""


def decoding(
    decode: Callable[[bytes], object], *declared: type[Exception]
) -> Callable[[bytes], None]:
    """Return the ``take`` of a pure function that may raise what it declares, and nothing else."""

    def take(data: bytes) -> None:
        try:
            decode(data)
        except declared:
            return

    return take


def awaiting(
    serve: Callable[[bytes], Awaitable[object]], *declared: type[Exception]
) -> Callable[[bytes], None]:
    """Return the ``take`` of an async function, which runs to its end in virtual time."""

    async def bounded(data: bytes) -> None:
        with trio.fail_after(VIRTUAL_SECONDS_MAX):
            try:
                await serve(data)
            except declared:
                return

    def take(data: bytes) -> None:
        steps = _Steps()
        with no_defects():
            clock = trio.testing.MockClock(autojump_threshold=0)
            trio.run(bounded, data, clock=clock, instruments=[steps])
        if steps.taken > STEPS_MAX:
            raise BrokenPromise("its tasks spin")

    return take


class _Steps(trio.abc.Instrument):
    """Counts the steps of all tasks, and ends a run that takes too many."""

    def __init__(self) -> None:
        self.taken = 0

    @override
    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.taken += 1
        if self.taken == STEPS_MAX + 1 and (root := trio.lowlevel.current_root_task()) is not None:
            for nursery in root.child_nurseries:
                nursery.cancel_scope.cancel()


@contextmanager
def no_defects() -> Iterator[None]:
    """Fail if the product logs an exception that it had not expected."""
    found = _Defects()
    logger = logging.getLogger()
    logger.addHandler(found)
    try:
        yield
    finally:
        logger.removeHandler(found)
    for record in found.records:
        raise BrokenPromise(record.getMessage()) from (record.exc_info or (None, None))[1]


class _Defects(logging.Handler):
    """Keeps what is logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info is not None:
            self.records.append(record)


async def heard(serve: Callable[[trio.abc.Stream], Awaitable[object]], data: bytes) -> bytes:
    """Say ``data`` to a server, leave, and return what it said before it closed."""
    ours, theirs = trio.testing.memory_stream_pair()
    said = bytearray()

    async def listen() -> None:
        while piece := await ours.receive_some(65536):
            said.extend(piece)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, theirs)
        nursery.start_soon(listen)
        try:
            await ours.send_all(data)
            await trio.testing.wait_all_tasks_blocked()  # what it does not wait for, it has said
            await ours.send_eof()
        except trio.BrokenResourceError:
            pass  # it has had enough
    return bytes(said)


async def told(
    use: Callable[[trio.abc.Stream], Awaitable[object]], pieces: Sequence[bytes]
) -> None:
    """Be the server of a client: say the first piece at once, and one more for each request.

    After the last piece, or a long silence, the stream ends.
    """
    ours, theirs = trio.testing.memory_stream_pair()

    async def say() -> None:
        with trio.move_on_after(SILENCE_SECONDS):
            for number, piece in enumerate(pieces):
                if number and not await ours.receive_some(65536):
                    return
                await ours.send_all(piece)
            await ours.receive_some(65536)

    async def answer() -> None:
        try:
            await say()
            await ours.send_eof()
            while await ours.receive_some(65536):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has had enough

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        try:
            await use(theirs)
        finally:
            await trio.aclose_forcefully(theirs)
            nursery.cancel_scope.cancel()
