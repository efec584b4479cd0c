"""The doors on unix sockets: LUXI, the services, the fork server, QEMU's monitors."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing
from tests.hostile.door import BrokenPromise, Door, awaiting, decoding, heard, told
from tests.hostile.examples import calls_of, conversations, examples, greeted
from tests.hostile.recording import recording
from typing_extensions import override

from gantry.cli import luxi as command_line
from gantry.cli.devcluster.control import SUPERVISOR
from gantry.cli.errors import CommandError
from gantry.daemons.luxid.connection import LuxiServer
from gantry.daemons.luxid.launcher import _load_message
from gantry.drivers.hypervisor.kvm import monitor
from gantry.drivers.hypervisor.kvm.migration import Sending, break_off
from gantry.drivers.hypervisor.qmp import QmpError, negotiated
from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.errors import ConnectionLost, GanetiError, ServiceError
from gantry.protocols.framing import ETX, FrameDecoder, encode_frame
from gantry.protocols.jobproc import JOB_PROCESS, ForkServerMessage, SpawnRequest
from gantry.protocols.luxi import LUXI
from gantry.protocols.parameters.kvm import KvmParameters
from gantry.protocols.replication import LEADING
from gantry.protocols.service import Service
from gantry.protocols.wconfd import WCONFD
from gantry.runtime.luxi_client import LuxiClient, LuxiMisuse, LuxiRefused
from gantry.runtime.network import RealNetwork
from gantry.runtime.rpc import client, serve_connection

CALLS_IN_A_ROW: Final = 4
"""A client calls so often on one connection; each call is answered by the next piece."""


# --- servers -------------------------------------------------------------------------------------


def service_door(name: str, service: Service[Any], *drives: str) -> Door:
    """Return the door of a service on a unix socket."""

    async def serve(data: bytes) -> None:
        calls: list[str] = []
        implementation = recording(service, calls)

        async def one(stream: trio.abc.Stream) -> None:
            await serve_connection(service, implementation, stream)

        said = await heard(one, data)
        if b'"kind":"Fault"' in said:
            raise BrokenPromise(f"the server calls it a defect of its own: {said[:500]!r}")

    return Door(
        name,
        ("runtime.rpc", "protocols.framing", "protocols.service", *drives),
        awaiting(serve),
        lambda: conversations(service),
        (ETX, b'"cancel":true', b'"id":1', b'{"hello":'),
    )


def _luxi_requests() -> Iterator[bytes]:
    for wire_name, method in LUXI.methods.items():
        for args in calls_of(method):
            request = {"method": wire_name, "args": list(args.values()), "version": 3_000_000}
            yield encode_frame(request)
            yield encode_frame({**request, "version": 3_010_000}) * 2


async def _serve_luxi(data: bytes) -> None:
    calls: list[str] = []
    server = LuxiServer(lambda _: recording(LUXI, calls), "start")
    said = await heard(server.serve_connection, data)
    decoder = FrameDecoder()
    decoder.feed(said)
    while (value := decoder.next_value()) is not None:
        match value:
            case ({"success": False, "result": str() | [str(), list()]},):
                continue
            case _:
                raise BrokenPromise(f"no LUXI was answered: {value!r:.200}")


def _serve_fork_server(data: bytes) -> None:
    request = load(SpawnRequest, from_bytes(data))
    if load(SpawnRequest, from_bytes(to_bytes(dump(request)))) != request:
        raise BrokenPromise(f"{request} is no request")


# --- clients -------------------------------------------------------------------------------------


def _pieces(data: bytes, end: bytes) -> list[bytes]:
    return [piece + end for piece in data.split(end)]


def _answers(service: Service[Any]) -> Iterator[bytes]:
    """Yield what a proper server says: a result, or an error, of each method."""
    for method in service.methods.values():
        results: list[dict[str, object]] = [
            {"ok": method.dump_result(each)} for each in examples(method.result)
        ]
        errors: list[dict[str, object]] = [
            {"error": method.dump_error(each)}
            for error in method.raises.values()
            for each in examples(error, 1)
        ]
        sayings: list[dict[str, object]] = [*results, *errors]
        for said in sayings:
            frames = ({"id": number, **said} for number in range(1, 1 + CALLS_IN_A_ROW))
            yield greeted(service, *frames).removesuffix(ETX)


def client_door(name: str, service: Service[Any], *drives: str) -> Door:
    """Return the door of a service's clients: what its server answers."""
    methods = list(service.methods.values())

    async def ask(data: bytes) -> None:
        chosen = methods[len(data) % len(methods)]
        args = {name: examples(hint)[0] for name, hint in chosen.params.items()}

        async def use(stream: trio.abc.Stream) -> None:
            with contextlib.suppress(ConnectionLost, ServiceError):
                async with client(service, stream) as remote:
                    for _ in range(CALLS_IN_A_ROW):
                        with contextlib.suppress(ServiceError):
                            await getattr(remote, chosen.name)(**args)

        await told(use, _pieces(data, ETX))

    return Door(
        name,
        ("runtime.rpc", "protocols.framing", "protocols.service", *drives),
        awaiting(ask),
        lambda: _answers(service),
        (ETX, b'"ok":', b'"error":', b'"id":1'),
    )


class _OneStream(RealNetwork):
    """A network with one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(Path("/nonexistent"), "localhost")
        self.__dict__["streams"] = [stream]

    @override
    async def connect_unix(self, path: Path) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self.__dict__["streams"]:
            raise FileNotFoundError(2, "no such file", str(path))
        stream: trio.abc.Stream = self.__dict__["streams"].pop()
        return stream


def _luxi_answers() -> Iterator[bytes]:
    errors = [["GenericError", ["no"]], ["OpPrereqError", ["no", "wrong_input"]], "no", ["X", [1]]]
    for error in errors:
        yield encode_frame({"success": False, "result": error}).removesuffix(ETX)
    for method in LUXI.methods.values():
        for each in examples(method.result):
            result = {"success": True, "result": method.dump_result(each)}
            yield encode_frame(result).removesuffix(ETX)


async def _ask_luxi(data: bytes) -> None:
    methods = list(LUXI.methods.values())
    chosen = methods[len(data) % len(methods)]
    args = {name: examples(hint)[0] for name, hint in chosen.params.items()}

    async def use(stream: trio.abc.Stream) -> None:
        declared = (GanetiError, ServiceError, LuxiMisuse, LuxiRefused, ConnectionLost)
        async with LuxiClient(_OneStream(stream), Path("/query"), patience_seconds=0.0) as luxid:
            with contextlib.suppress(*declared):
                await getattr(luxid.luxi, chosen.name)(**args)

    await told(use, [b"", *_pieces(data, ETX)])


class _Answered(command_line.LuxiClient):
    """A client that is answered the same, whatever it asks."""

    def __init__(self, data: bytes) -> None:
        super().__init__("")
        self._data = data

    @override
    def _exchange(self, frame: bytes) -> bytes:
        return self._data


def _ask_from_command_line(data: bytes) -> None:
    """Ask all that the commands ask; each question is answered with the same bytes."""
    questions: tuple[Callable[[command_line.LuxiClient], object], ...] = (
        lambda luxid: luxid.submit_job([]),
        lambda luxid: luxid.submit_many_jobs([]),
        lambda luxid: luxid.wait_for_job_change(1, None, 0, 1),
        lambda luxid: luxid.query("job", []),
        lambda luxid: luxid.query_fields("job", None),
        lambda luxid: luxid.query_jobs(None, []),
        lambda luxid: luxid.query_cluster_info(),
        lambda luxid: luxid.verdict("CancelJob", 1),
    )
    for question in questions:
        luxid = _Answered(data)
        with contextlib.suppress(CommandError):
            question(luxid)


def _command_line_answers() -> Iterator[bytes]:
    results: tuple[object, ...] = (
        5,
        [[True, 5], [False, ["GenericError", ["no"]]]],
        [["success"], [[1, [5, 6], "message", "text"]]],
        {"fields": [{"name": "a", "title": "A", "kind": "text", "doc": ""}], "data": [[[0, 1]]]},
        [True, "done"],
    )
    for result in results:
        yield to_bytes({"success": True, "result": result, "warnings": ["w"], "version": 3_000_000})
    yield to_bytes({"success": False, "result": ["OpPrereqError", ["no", "wrong_input"]]})


def _receive_from_command_line(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[:65536])
        theirs.close()
        command_line._receive(ours)


# --- QEMU ----------------------------------------------------------------------------------------

_QMP_ACTIONS: Final[tuple[Callable[[Any], Awaitable[object]], ...]] = (
    monitor.query_status,
    monitor.query_uuid,
    monitor.query_migrate,
    lambda qmp: Sending(qmp, examples(KvmParameters)[0], lambda _: None).run("tcp:x", live=True),
    lambda qmp: break_off(qmp, cont=True),
)


async def _manage(data: bytes) -> None:
    action = _QMP_ACTIONS[len(data) % len(_QMP_ACTIONS)]

    async def use(stream: trio.abc.Stream) -> None:
        with contextlib.suppress(QmpError):
            async with negotiated(stream) as qmp:
                await action(qmp)

    await told(use, _pieces(data, b"\r\n"))


def _qmp_answers() -> Iterator[bytes]:
    version = {"qemu": {"major": 7, "minor": 2, "micro": 9}, "package": ""}
    greeting = {"QMP": {"version": version, "capabilities": []}}
    stamp = {"seconds": 1, "microseconds": 2}
    ended = {"event": "MIGRATION", "data": {"status": "completed"}, "timestamp": stamp}
    ram = {"transferred": 1, "remaining": 0, "total": 1}
    info = {"status": "active", "total-time": 1, "downtime": 1, "ram": ram}
    told: tuple[object, ...] = (
        {"status": "running", "running": True},
        {"UUID": "6ae7d516-e9f6-40a6-9718-229b12567466"},
        info,
        {**info, "status": "failed", "error-desc": "no"},
    )
    for first in told:
        for length in range(len(_QMP_ACTIONS)):
            replies = [{"return": {}, "id": 1}, {"return": first, "id": 2}]
            replies += [{"return": each, "id": 3 + n} for n, each in enumerate(told * 2)]
            pieces = [greeting, *replies]
            yield (
                b"\r\n".join(to_bytes(p) + b"\n" + to_bytes(ended) for p in pieces) + b" " * length
            )
    error = {"error": {"class": "GenericError", "desc": "no"}, "id": 2}
    yield b"\r\n".join(map(to_bytes, [greeting, {"return": {}, "id": 1}, error]))


DOORS: Final = (
    service_door("wconfd", WCONFD, "daemons.wconfd.server"),
    service_door("job", JOB_PROCESS, "daemons.job.main"),
    service_door("supervisor", SUPERVISOR, "cli.devcluster.control"),
    service_door("leading", LEADING, "runtime.leading"),
    client_door("wconfd-answers", WCONFD, "runtime.link"),
    client_door("job-answers", JOB_PROCESS),
    client_door("leading-answers", LEADING),
    client_door("supervisor-answers", SUPERVISOR),
    Door("luxi", ("daemons.luxid.connection",), awaiting(_serve_luxi), _luxi_requests, (ETX,)),
    Door("luxi-answers", ("runtime.luxi_client",), awaiting(_ask_luxi), _luxi_answers, (ETX,)),
    Door(
        "command-line-answers",
        ("cli.luxi",),
        _ask_from_command_line,
        _command_line_answers,
    ),
    Door(
        "command-line-stream",
        ("cli.luxi",),
        decoding(_receive_from_command_line, CommandError, ConnectionError),
        lambda: [b"{}" + ETX],
        (ETX,),
    ),
    Door(
        "fork-server",
        ("daemons.forkserver.server", "daemons.forkserver.child"),
        decoding(_serve_fork_server, Malformed),
        lambda: [to_bytes(dump(each)) for each in examples(SpawnRequest)],
    ),
    Door(
        "fork-server-answers",
        ("daemons.luxid.launcher",),
        decoding(_load_message, Malformed),
        lambda: [
            to_bytes(dump(each, ForkServerMessage)) for each in examples(ForkServerMessage, 9)
        ],
    ),
    Door("qmp", ("drivers.hypervisor.qmp",), awaiting(_manage), _qmp_answers, (b"\r\n",)),
)
