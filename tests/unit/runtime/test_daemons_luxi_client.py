"""The daemons' LUXI client: errors, restarts of LuxiD, deadlines, connections."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing
from tests.unit.runtime.canned_luxid import CannedLuxid, CannedNetwork, Failure, HangUp

from gantry.protocols.errors import (
    BadCall,
    ConnectionLost,
    GenericError,
    JobQueueFull,
    OpPrereqError,
    Unreachable,
)
from gantry.runtime.luxi_client import LuxiClient, LuxiMisuse, LuxiRefused

SOCKET = Path("/run/query")


@pytest.fixture
async def luxid(nursery: trio.Nursery) -> CannedLuxid:
    return CannedLuxid(nursery, {"QueryClusterInfo": {"name": "c"}, "SubmitJob": 7})


@pytest.fixture
async def client(luxid: CannedLuxid) -> AsyncIterator[LuxiClient]:
    async with LuxiClient(CannedNetwork(luxid), SOCKET) as made:
        yield made


async def test_arguments_go_by_position(client: LuxiClient, luxid: CannedLuxid) -> None:
    luxid.answers = {"CancelJob": [True, "done"], "QueryNodes": []}

    assert await client.luxi.cancel_job(5) == (True, "done")
    await client.luxi.query_nodes(names=("n",), use_locking=False, fields=("name",))

    assert luxid.requests == [("CancelJob", [5, False]), ("QueryNodes", [["n"], ["name"], False])]
    assert luxid.connections == 1


async def test_calls_at_once_have_connections_of_their_own(
    client: LuxiClient, luxid: CannedLuxid
) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(client.luxi.query_cluster_info)
    await client.luxi.query_cluster_info()
    assert luxid.connections == 3


@pytest.mark.parametrize(
    ("sent", "kind", "args"),
    [
        (["OpPrereqError", ["no", "unknown_entity"]], OpPrereqError, ("no", "unknown_entity")),
        (["GenericError", ["Queue drained"]], GenericError, ("Queue drained",)),
        (["JobQueueFull", []], JobQueueFull, ()),
        (["OpPrereqError", []], OpPrereqError, ()),
        (["OsError", ["what", 3]], LuxiRefused, ("OsError: what, 3",)),
        ("Failed to parse request", LuxiRefused, ("Failed to parse request",)),
        ({"odd": 1}, LuxiRefused, ("{'odd': 1}",)),
    ],
)
async def test_errors(
    client: LuxiClient, luxid: CannedLuxid, sent: object, kind: type[Exception], args: object
) -> None:
    def fail(*_: object) -> object:
        raise Failure(sent)

    luxid.answers = {"QueryClusterInfo": fail}
    with pytest.raises(kind) as caught:
        await client.luxi.query_cluster_info()
    assert caught.value.args == args


async def test_after_a_refusal_comes_a_new_connection(
    client: LuxiClient, luxid: CannedLuxid
) -> None:
    def refuse(*_: object) -> object:
        raise Failure("Failed to parse request")

    luxid.answers = {"SubmitJob": refuse, "QueryClusterInfo": {}}
    with pytest.raises(LuxiRefused):
        await client.luxi.submit_job(())
    await client.luxi.query_cluster_info()
    assert luxid.connections == 2


async def test_a_request_is_sent_again_when_luxid_was_restarted(
    client: LuxiClient, luxid: CannedLuxid, autojump_clock: trio.testing.MockClock
) -> None:
    await client.luxi.query_cluster_info()
    await trio.aclose_forcefully(luxid.streams[0])  # the idle connection
    assert await client.luxi.submit_job(({"OP_ID": "X"},)) == 7

    lost = iter([True, True, False])

    def sometimes(*_: object) -> object:
        if next(lost):
            raise HangUp
        return 8

    luxid.answers = {"SubmitJob": sometimes}
    assert await client.luxi.submit_job(({"OP_ID": "Y"},)) == 8
    assert luxid.calls("SubmitJob") == [[[{"OP_ID": "X"}]], *([[[{"OP_ID": "Y"}]]] * 3)]


async def test_a_luxid_that_comes_in_time_is_waited_for(
    nursery: trio.Nursery, luxid: CannedLuxid, autojump_clock: trio.testing.MockClock
) -> None:
    network = CannedNetwork()

    async def start() -> None:
        await trio.sleep(5)
        network.install(luxid)

    async with LuxiClient(network, SOCKET) as client:
        nursery.start_soon(start)
        assert await client.luxi.query_cluster_info() == {"name": "c"}


async def test_a_luxid_that_does_not_come_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with LuxiClient(CannedNetwork(), SOCKET) as client:
        with pytest.raises(Unreachable, match="is gantry-luxid running"):
            await client.luxi.query_cluster_info()
    assert trio.current_time() < 30


async def test_a_luxid_that_always_hangs_up_is_given_up(
    client: LuxiClient, luxid: CannedLuxid, autojump_clock: trio.testing.MockClock
) -> None:
    def hang_up(*_: object) -> object:
        raise HangUp

    luxid.answers = {"QueryClusterInfo": hang_up}
    with pytest.raises(ConnectionLost) as caught:
        await client.luxi.query_cluster_info()
    assert not isinstance(caught.value, Unreachable)


async def silent(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await trio.sleep_forever()


async def test_deadline_and_cancellation_close_the_connection(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    streams: list[trio.abc.Stream] = []

    class Silent(CannedNetwork):
        async def connect_unix(self, path: Path) -> trio.abc.Stream:  # type: ignore[explicit-override]  # a one-off
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(silent, theirs)
            streams.append(ours)
            return ours

    async with LuxiClient(Silent(), SOCKET, answer_seconds=3.0) as client:
        with pytest.raises(trio.TooSlowError):
            await client.luxi.query_cluster_info()
        with trio.move_on_after(1):
            await client.luxi.query_cluster_info()
    for stream in streams:
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "frame",
    [b"not JSON\x03", b"[]\x03", b'{"success":true,"result":1,"version":5}\x03', b"{}\x03{}\x03"],
)
async def test_what_is_no_luxi(nursery: trio.Nursery, frame: bytes) -> None:
    class Odd(CannedNetwork):
        async def connect_unix(self, path: Path) -> trio.abc.Stream:  # type: ignore[explicit-override]  # a one-off
            ours, theirs = trio.testing.memory_stream_pair()
            await theirs.send_all(frame)
            return ours

    async with LuxiClient(Odd(), SOCKET) as client:
        with pytest.raises(LuxiMisuse):
            await client.luxi.query_cluster_info()


async def test_an_answer_of_another_shape(client: LuxiClient, luxid: CannedLuxid) -> None:
    luxid.answers = {"SubmitJob": "seven"}
    with pytest.raises(BadCall, match="bad result"):
        await client.luxi.submit_job(())
