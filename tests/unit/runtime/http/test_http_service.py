"""A typed service carried by HTTP: every outcome a caller can meet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest
import trio
import trio.testing
from attrs import define, field, frozen
from tests.unit.runtime.http.serving import MemoryNetwork, asked, new_server
from typing_extensions import override

from gantry.protocols.errors import (
    BadCall,
    ConnectionLost,
    Fault,
    Forbidden,
    ServiceError,
    Unreachable,
    VersionMismatch,
)
from gantry.protocols.service import Method, Service, raises, since, stub
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import Request, by_first_segment
from gantry.runtime.http.service import (
    Authorize,
    certificate_required,
    everybody,
    http_call,
    http_handler,
    parse_protocol,
)


@frozen
class OutOfStock(ServiceError):
    """There is no such fruit."""

    fruit: str


@frozen
class Basket:
    fruits: tuple[str, ...]


class Shop(Protocol):
    """Sells fruit."""

    @raises(OutOfStock)
    async def buy(self, fruit: str, count: int = 1) -> Basket:
        """Buy fruit."""

    async def wait(self) -> None:
        """Never come back."""

    async def burn(self) -> None:
        """Fail."""

    @since(2)
    async def sell(self, basket: Basket) -> int:
        """Sell fruit."""


SHOP = Service(Shop, versions=(1, 2))


@define
class Counter(Shop):
    """The shop's counter."""

    calls: list[str] = field(factory=list)
    cancelled: bool = False
    waiting: trio.Event = field(factory=trio.Event)

    @override
    async def buy(self, fruit: str, count: int = 1) -> Basket:
        self.calls.append(fruit)
        if fruit == "kiwi":
            raise OutOfStock(fruit)
        return Basket((fruit,) * count)

    @override
    async def wait(self) -> None:
        self.waiting.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            self.cancelled = True
            raise

    @override
    async def burn(self) -> None:
        raise ValueError("the secret")

    @override
    async def sell(self, basket: Basket) -> int:
        return len(basket.fruits)


@asynccontextmanager
async def shop(
    counter: Counter,
    *,
    server: Service[Shop] = SHOP,
    client: Service[Shop] = SHOP,
    authorize: Authorize = everybody,
    deadline_seconds: float = 100.0,
) -> AsyncIterator[Shop]:
    handler = by_first_segment({"Shop": http_handler(server, counter, authorize)})
    options = ServerOptions(cancel_on_disconnect=True)
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(new_server(handler, options), nursery)
        async with HttpClient(network, "h", 80) as http:
            yield stub(client, http_call(http, client, deadline_seconds))
        nursery.cancel_scope.cancel()


def only_in(version: int) -> Service[Shop]:
    return Service(Shop, versions=(version, version))


async def test_a_call_and_its_result() -> None:
    async with shop(Counter()) as remote:
        assert await remote.buy("apple", count=2) == Basket(("apple", "apple"))
        assert await remote.sell(Basket(("pear",))) == 1


async def test_a_declared_error_arrives_as_it_was_raised() -> None:
    async with shop(Counter()) as remote:
        with pytest.raises(OutOfStock) as error:
            await remote.buy("kiwi")
    assert error.value.fruit == "kiwi"


async def test_a_failure_is_a_fault_without_details() -> None:
    async with shop(Counter()) as remote:
        with pytest.raises(Fault, match=r"status 500.* under 070707070707") as fault:
            await remote.burn()
    assert "secret" not in fault.value.text


async def test_a_refused_caller() -> None:
    async def authorize(_: Request, method: Method) -> Forbidden | None:
        await trio.lowlevel.checkpoint()
        return Forbidden(method.name, "ask the owner") if method.name == "buy" else None

    counter = Counter()
    async with shop(counter, authorize=authorize) as remote:
        with pytest.raises(Forbidden) as refused:
            await remote.buy("apple")
        assert await remote.sell(Basket(())) == 0
    assert (refused.value.method, refused.value.reason) == ("buy", "ask the owner")
    assert counter.calls == []


# --- versions ------------------------------------------------------------------------------------


async def test_the_highest_common_version_is_spoken() -> None:
    async with shop(Counter(), server=only_in(1)) as remote:
        assert await remote.buy("apple") == Basket(("apple",))
        with pytest.raises(BadCall, match="needs version 2"):
            await remote.sell(Basket(()))


async def test_no_common_version_names_both_ranges() -> None:
    for ours in (only_in(3), Service(Shop, versions=(3, 4))):
        async with shop(Counter(), client=ours) as remote:
            with pytest.raises(VersionMismatch) as mismatch:
                await remote.buy("apple")
        assert mismatch.value.client_versions == ours.versions
        assert mismatch.value.server_versions == (1, 2)


async def test_the_server_too_knows_what_came_later() -> None:
    reply = await _post("/Shop/sell", "{}", "Gantry-Protocol: Shop/1\r\n")
    assert reply[0] == 404


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Shop/1", ("Shop", 1, 1)),
        ("Shop/1-3", ("Shop", 1, 3)),
        ("Shop/3-1", None),
        ("Shop", None),
        ("Shop/", None),
        ("/1", None),
        ("Shop/-1", None),
        ("Shop/1\n", None),
        ("Shop/\N{ARABIC-INDIC DIGIT ONE}", None),
    ],
)
def test_protocol_headers(text: str, expected: tuple[str, int, int] | None) -> None:
    parsed = parse_protocol(text)
    assert (parsed and (parsed.protocol, parsed.lowest, parsed.highest)) == expected


# --- deadlines and losses ------------------------------------------------------------------------


async def test_the_server_keeps_the_callers_deadline(autojump_clock: trio.abc.Clock) -> None:
    counter = Counter()
    handler = http_handler(SHOP, counter)
    head = "Gantry-Protocol: Shop/1\r\nGantry-Deadline-Seconds: 7.5\r\n"
    reply = await asked(new_server(handler), *_request("/Shop/wait", "{}", head), method="POST")
    assert reply.status == 504
    assert trio.current_time() == pytest.approx(7.5)
    assert counter.cancelled


async def test_a_call_that_takes_too_long_has_an_unknown_outcome(
    autojump_clock: trio.abc.Clock,
) -> None:
    counter = Counter()
    async with shop(counter, deadline_seconds=5) as remote:
        with pytest.raises(ConnectionLost) as lost:
            await remote.wait()
        assert not isinstance(lost.value, Unreachable)
        assert trio.current_time() == pytest.approx(5)
    assert counter.cancelled


async def test_an_earlier_deadline_of_the_caller_is_sent(autojump_clock: trio.abc.Clock) -> None:
    counter = Counter()
    async with shop(counter) as remote:
        with pytest.raises((trio.TooSlowError, ConnectionLost)):
            with trio.fail_after(3):
                await remote.wait()
        assert trio.current_time() == pytest.approx(3)
        await trio.testing.wait_all_tasks_blocked()
        assert counter.cancelled


async def test_a_cancelled_call_is_cancelled_on_the_server() -> None:
    counter = Counter()
    async with shop(counter) as remote, trio.open_nursery() as calling:
        calling.start_soon(remote.wait)
        await counter.waiting.wait()
        calling.cancel_scope.cancel()
    assert counter.cancelled


async def test_nobody_there(nursery: trio.Nursery) -> None:
    network = MemoryNetwork(new_server(), nursery, refuses=True)
    async with HttpClient(network, "h", 80) as client:
        remote = stub(only_in(1), http_call(client, only_in(1)))
        with pytest.raises(Unreachable):
            await remote.buy("apple")


async def test_a_full_server_has_done_nothing(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    server = new_server(options=ServerOptions(limits=Limits(connections=0)))
    async with HttpClient(MemoryNetwork(server, nursery), "h", 80) as client:
        remote = stub(only_in(1), http_call(client, only_in(1)))
        with pytest.raises(Unreachable, match="too many connections"):
            await remote.buy("apple")


async def test_another_kind_of_server(nursery: trio.Nursery) -> None:
    async with HttpClient(MemoryNetwork(new_server(), nursery), "h", 80) as client:
        with pytest.raises(ConnectionLost):
            await stub(only_in(1), http_call(client, only_in(1))).buy("apple")
        with pytest.raises(Unreachable, match="does not serve Shop"):
            await stub(SHOP, http_call(client, SHOP)).buy("apple")


# --- what else may be asked ----------------------------------------------------------------------

VERSION = "Gantry-Protocol: Shop/1\r\n"


def _request(path: str, body: str, headers: str = VERSION) -> tuple[str, ...]:
    length = f"Content-Length: {len(body)}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: n\r\nConnection: close\r\n",
        headers,
        length,
        f"\r\n{body}",
    )


async def _post(path: str, body: str, headers: str = VERSION) -> tuple[int, dict[str, object]]:
    server = new_server(http_handler(SHOP, Counter()))
    reply = await asked(server, *_request(path, body, headers), method="POST")
    answer = json.loads(reply.body)
    return reply.status, answer.get("error", answer)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "kind"),
    [
        ("/Shop/steal", "{}", VERSION, 404, "BadCall"),
        ("/Shop/__init__", "{}", VERSION, 404, "BadCall"),
        ("/Shop/buy", "{", VERSION, 400, "BadCall"),
        ("/Shop/buy", "[]", VERSION, 400, "BadCall"),
        ("/Shop/buy", "{}", VERSION, 400, "BadCall"),
        ("/Shop/buy", '{"fruit": 3}', VERSION, 400, "BadCall"),
        ("/Shop/buy", '{"fruit": "x", "price": 1}', VERSION, 400, "BadCall"),
        ("/Shop/buy", '{"fruit": "x"}', "", 400, "BadCall"),
        ("/Shop/buy", '{"fruit": "x"}', "Gantry-Protocol: Bank/1\r\n", 400, "BadCall"),
        ("/Shop/buy", '{"fruit": "x"}', "Gantry-Protocol: Shop/9\r\n", 400, "VersionMismatch"),
        ("/Shop/buy", "{}", f"{VERSION}Gantry-Deadline-Seconds: soon\r\n", 400, "BadCall"),
        ("/Shop/buy", "{}", f"{VERSION}Gantry-Deadline-Seconds: -1\r\n", 400, "BadCall"),
        ("/Shop/buy", "{}", f"{VERSION}Gantry-Deadline-Seconds: nan\r\n", 400, "BadCall"),
        ("/Shop/buy", "{}", f"{VERSION}Content-Type: text/plain\r\n", 415, "BadCall"),
        ("/Shop/buy/now", "{}", VERSION, 404, None),
        ("/Bank/rob", "{}", VERSION, 404, None),
        ("/", "{}", VERSION, 404, None),
        ("/Shop", "{}", VERSION, 405, None),
    ],
)
async def test_bad_calls_are_refused_at_the_door(
    path: str, body: str, headers: str, status: int, kind: str | None
) -> None:
    got, error = await _post(path, body, headers)
    assert (got, error.get("kind")) == (status, kind)


async def test_only_post_calls() -> None:
    server = new_server(http_handler(SHOP, Counter()))
    reply = await asked(server, "GET /Shop/buy HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n")
    assert (reply.status, reply.header("allow")) == (405, "POST")


async def test_without_certificate_only_open_paths_answer(
    autojump_clock: trio.abc.Clock,
) -> None:
    options = ServerOptions(check_head=certificate_required(frozenset({"/Shop/buy"})))
    server = new_server(http_handler(SHOP, Counter()), options)
    closed = await asked(server, *_request("/Shop/burn", "{}"), method="POST")
    assert closed.status == 403
    opened = await asked(server, *_request("/Shop/buy", '{"fruit": "fig"}'), method="POST")
    assert json.loads(opened.body) == {"ok": {"fruits": ["fig"]}}
