"""The doors that speak HTTP: NodeD, RapiD and MonD, and what their clients are answered."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from tests.hostile.door import BrokenPromise, Door, awaiting, heard, told
from tests.hostile.examples import bodies, examples
from tests.hostile.recording import recording
from tests.property.runtime.test_http_fuzz import DICTIONARY, VALID
from tests.unit.daemons.mond.mond_world import Node
from tests.unit.daemons.rapid.rapi_world import BY_NAME, World
from tests.unit.runtime.canned_luxid import Failure
from tests.unit.runtime.http.serving import FixedClock, FixedRandomness
from typing_extensions import override

from gantry.daemons.electd.etcd import EtcdFailed, Office
from gantry.daemons.electd.settings import Endpoint, Settings
from gantry.daemons.mond import main as mond
from gantry.daemons.rapid import main as rapid
from gantry.protocols.codec import to_bytes
from gantry.protocols.errors import ConnectionLost, ServiceError
from gantry.protocols.join import JOIN
from gantry.protocols.mond import SERVER
from gantry.protocols.noded import NODED
from gantry.protocols.replication import REPLICAS
from gantry.protocols.service import Service, stub
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.messages import Handler, by_first_segment
from gantry.runtime.http.server import HttpServer
from gantry.runtime.http.service import http_call, http_handler
from gantry.runtime.network import RealNetwork
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

LENGTH: Final = b"@LENGTH"
"""Stands in a head for the length of the body, so that a changed body is still a whole one."""

HTTP: Final = (
    "runtime.http.connection",
    "runtime.http.heads",
    "runtime.http.messages",
    "runtime.http.plain",
)


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """Render a request whose body may be changed."""
    lines = [f"{method} {path} HTTP/1.1", "host: n", *headers]
    head = "\r\n".join(lines).encode("latin-1")
    return head + (b"\r\ncontent-length: " + LENGTH if body else b"") + b"\r\n\r\n" + body


def _with_length(data: bytes) -> bytes:
    length = len(data.partition(b"\r\n\r\n")[2])
    return data.replace(LENGTH, b"%d" % length)


async def _answered(handler: Handler, options: ServerOptions, data: bytes) -> None:
    """Say ``data`` to a server, and see that what comes back is HTTP, and no failure."""
    server = HttpServer(handler, FixedClock(), FixedRandomness(), options)
    said = await heard(server.serve_stream, _with_length(data))
    if said and not said.startswith(b"HTTP/1.1 "):
        raise BrokenPromise(f"no HTTP was answered: {said[:200]!r}")
    if server.connections:
        raise BrokenPromise("the connection is still counted")


# --- servers -------------------------------------------------------------------------------------


async def _serve_noded(data: bytes) -> None:
    calls: list[str] = []
    services: tuple[Service[Any], ...] = (NODED, REPLICAS, JOIN)
    handlers = {each.name: http_handler(each, recording(each, calls)) for each in services}
    await _answered(by_first_segment(handlers), ServerOptions(), data)


def _noded_requests() -> Iterator[bytes]:
    json = "content-type: application/json"
    for service in (NODED, REPLICAS, JOIN):
        yield request("GET", f"/{service.name}")
        for path, body in bodies(service):
            said = f"gantry-protocol: {service.name}/1"
            yield request("POST", path, body, said, json, "gantry-deadline-seconds: 5.000")


def _forgiving(answer: object) -> object:
    """Answer what the recorded cluster was never asked as LuxiD does: it is not known."""
    if not callable(answer):
        return answer

    def forgiving(*args: object) -> object:
        try:
            return answer(*args)
        except (KeyError, TypeError):
            raise Failure(["OpPrereqError", ["not known", "unknown_entity"]]) from None

    return forgiving


async def _serve_rapid(data: bytes) -> None:
    async with trio.open_nursery() as nursery:
        world = await World.made(nursery, Path("/nonexistent/node1.gnt.test"))
        world.answers.update({name: _forgiving(each) for name, each in world.answers.items()})
        options = ServerOptions(
            rapid.LIMITS, rapid.SERVER, keep_alive=False, check_head=world.api.check_head
        )
        await _answered(world.api.handle, options, data)
        nursery.cancel_scope.cancel()


def _rapi_requests() -> Iterator[bytes]:
    admin = "authorization: Basic " + base64.b64encode(b"admin:secret").decode()
    json = "content-type: application/json"
    for sample in BY_NAME.values():
        body = sample.get("body")
        rendered = b"" if body is None else to_bytes(body)
        yield request(sample["method"], sample["path"], rendered, admin, json)
    for path, body in _RAPI_BODIES:
        yield request("POST", path, to_bytes(body), admin, json)
    for method, path in (("PUT", "/2/instances/i/tags?tag=a&tag=b"), ("DELETE", "/2/jobs/5")):
        yield request(method, path, b"", admin)
    changes = {"fields": ["status"], "previous_job_info": None, "previous_log_serial": 0}
    yield request("GET", "/2/jobs/500/wait", to_bytes(changes), admin, json)
    filter_ = {"fields": ["name"], "filter": ["|", ["=", "name", "inst1.gnt.test"]]}
    yield request("PUT", "/2/query/instance", to_bytes(filter_), admin, json)


_RAPI_BODIES: Final[tuple[tuple[str, dict[str, object]], ...]] = (
    (
        "/2/instances",
        {
            "__version__": 1,
            "mode": "create",
            "instance_name": "i.gnt.test",
            "disk_template": "file",
            "disks": [{"size": 100}],
            "nics": [{"mode": "bridged"}],
            "os_type": "noop",
            "pnode": "node1.gnt.test",
            "beparams": {"maxmem": 128},
            "hvparams": {},
        },
    ),
    ("/2/nodes/node1.gnt.test/evacuate", {"mode": "primary-only", "dry_run": True}),
    ("/2/groups", {"group_name": "g", "alloc_policy": "preferred"}),
    ("/2/networks", {"network_name": "n", "network": "192.0.2.0/24"}),
    ("/2/filters", {"priority": 1, "predicates": [["jobid", [">", "id", 5]]], "action": "ACCEPT"}),
    ("/2/instances/i.gnt.test/reinstall", {"os": "noop", "start": True}),
)


async def _serve_mond(data: bytes) -> None:
    options = ServerOptions(limits=mond.LIMITS, name=SERVER)
    await _answered(Node().api().handle, options, data)


def _mond_requests() -> Iterator[bytes]:
    paths = ("/", "/1", "/1/", "/1/list/collectors", "/1/report/all", "/metrics")
    for path in (*paths, "/1/report/default/cpu-avg-load", "/1/report/storage/diskstats"):
        yield request("GET", path)


# --- clients -------------------------------------------------------------------------------------


class _OneServer(RealNetwork):
    """A network with one connection, on which a test says what a server would."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(Path("/nonexistent"), "localhost")
        self.__dict__["streams"] = [stream]

    @override
    async def connect_tcp(self, address: str, port: int, tls: object = None) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self.__dict__["streams"]:
            raise ConnectionRefusedError(111, "Connection refused")
        stream: trio.abc.Stream = self.__dict__["streams"].pop()
        return stream


END_OF_REPLY: Final = b"@NEXT"
"""Between the replies to one request and the next."""


def reply(body: object, status: int = 200, *headers: str) -> bytes:
    """Render a reply whose body may be changed."""
    rendered = to_bytes(body)
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\ncontent-length: " + LENGTH + b"\r\n\r\n" + rendered


def _replies(data: bytes) -> list[bytes]:
    """Begin with nothing: a server speaks when it is spoken to."""
    return [b"", *map(_with_length, data.split(END_OF_REPLY))]


async def _ask_noded(data: bytes) -> None:
    service: Service[Any] = (NODED, REPLICAS, JOIN)[len(data) % 3]
    methods = list(service.methods.values())
    chosen = methods[len(data) // 3 % len(methods)]
    args = {name: examples(hint)[0] for name, hint in chosen.params.items()}

    async def use(stream: trio.abc.Stream) -> None:
        async with HttpClient(_OneServer(stream), "n", 1) as client:
            remote = stub(service, http_call(client, service))
            for _ in range(2):
                with contextlib.suppress(ConnectionLost, ServiceError):
                    await getattr(remote, chosen.name)(**args)

    await told(use, _replies(data))


def _noded_replies() -> Iterator[bytes]:
    for service in (NODED, REPLICAS, JOIN):
        for method in service.methods.values():
            for each in examples(method.result):
                yield reply({"ok": method.dump_result(each)}, 200, "gantry-protocol: NodeD/1")
            for error in method.raises.values():
                (each,) = examples(error, 1)
                yield reply({"error": method.dump_error(each)}) + END_OF_REPLY + reply({}, 404)
    yield reply({"code": 503, "explain": "too many"}, 503)
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\n" + chunked + b'5\r\n{"ok"\r\n7\r\n:false}\r\n0\r\n\r\n'


async def _hold_office(data: bytes) -> None:
    settings = Settings((Endpoint("n", 1, encrypted=False),), 15, None, None)

    async def use(stream: trio.abc.Stream) -> None:
        env = attrs.evolve(
            memory_environment("node1.gnt.test", MemoryFiles()), network=_OneServer(stream)
        )
        office = Office(env, settings, "key", "node1")
        steps: list[Callable[[], Any]] = [office.holder, office.take, office.keep, office.resign]
        for step in steps[len(data) % len(steps) :] + steps:
            with contextlib.suppress(EtcdFailed):
                await step()
        await office.aclose()

    await told(use, _replies(data))


def _etcd_replies() -> Iterator[bytes]:
    value = base64.b64encode(b"node1").decode()
    held = {"kvs": [{"key": "a2V5", "create_revision": "5", "value": value}], "count": "1"}
    granted, taken = {"ID": "7587", "TTL": "15"}, {"succeeded": True, "responses": []}
    alive = {"result": {"ID": "7587", "TTL": "15"}}
    for lengthening in range(4):
        said: tuple[object, ...] = (held, granted, taken, alive, granted, taken, {}, held)
        yield END_OF_REPLY.join(map(reply, said)) + b" " * lengthening
    yield reply({"error": "etcdserver: requested lease not found", "code": 5}, 404)


DOORS: Final = (
    Door(
        "noded",
        (*HTTP, "runtime.http.service", "daemons.noded.main"),
        awaiting(_serve_noded),
        _noded_requests,
        DICTIONARY,
    ),
    Door(
        "rapid",
        (*HTTP, "daemons.rapid.api", "daemons.rapid.asked"),
        awaiting(_serve_rapid),
        _rapi_requests,
        (*DICTIONARY, b"?bulk=1", b"?lock=1", b"?dry-run=1", b"&", b"/2/"),
    ),
    Door(
        "mond",
        (*HTTP, "daemons.mond.api"),
        awaiting(_serve_mond),
        lambda: [*_mond_requests(), *VALID],
        DICTIONARY,
    ),
    Door(
        "noded-answers",
        (
            "runtime.http.exchange",
            "runtime.http.client",
            "runtime.http.plain",
            "runtime.http.service",
        ),
        awaiting(_ask_noded),
        _noded_replies,
        (*DICTIONARY, END_OF_REPLY),
    ),
    Door(
        "etcd",
        ("daemons.electd.etcd",),
        awaiting(_hold_office),
        _etcd_replies,
        (END_OF_REPLY,),
    ),
)
