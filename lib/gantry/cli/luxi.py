"""A blocking LUXI client on the standard library alone.

A request is one JSON value ended by ETX, and so is its answer. The client repeats a request
when the connection breaks, as Ganeti's does; the server recognises a repeated submission by the
time stamps in its reason trail.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gantry.cli.errors import CommandError, PeerMisuse, Unreachable, server_failure

ETX = b"\x03"
LUXI_VERSION = 3000000
RECEIVE_BYTES = 1 << 18
ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The bound of a frame on all of the cluster's sockets."""

Opcode = dict[str, object]
Row = list[object]


class Patience(NamedTuple):
    """How long the client waits, and how often it tries; the numbers are Ganeti's."""

    connect_seconds: float = 30.0
    connect_pause_seconds: float = 1.0
    answer_seconds: float = 180.0
    sends_max: int = 15
    send_pause_seconds: float = 5.0
    """The pause after the n-th failure is n times this."""


GANETI_PATIENCE = Patience()


class FieldDefinition(NamedTuple):
    """A column of a query's answer."""

    name: str
    title: str
    kind: str
    doc: str


class QueryAnswer(NamedTuple):
    """A query's columns and rows; a cell is ``(status, value)``, status 0 being normal."""

    fields: list[FieldDefinition]
    rows: list[list[tuple[int, object]]]


class JobChange(NamedTuple):
    """What a job became: the values asked for, and its new log entries."""

    values: Row
    entries: list[tuple[int, object, str, object]]
    """``(serial, [seconds, microseconds], type, payload)``."""


class LuxiClient:
    """A connection to LuxiD that is made when it is first needed; the caller closes it."""

    def __init__(
        self,
        address: str,
        *,
        patience: Patience = GANETI_PATIENCE,
        before_retry: Callable[[], None] = lambda: None,
        notify: Callable[[str], None] = lambda _text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a client.

        ``before_retry`` is called when nobody listens and may raise to give up at once;
        ``notify`` is told why the user has to wait.
        """
        self._address = address
        self._patience = patience
        self._before_retry = before_retry
        self._notify = notify
        self._sleep = sleep
        self._socket: socket.socket | None = None
        self.warnings: list[str] = []
        """What the answers have said beside their results; the user was told."""

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, method: str, *arguments: object) -> object:
        """Call a method and return its result.

        Raises:
            ServerFailure: LuxiD refused or failed.
            Unreachable: LuxiD is not there, or did not answer.
            PeerMisuse: the answer is not LUXI.
        """
        request = {"method": method, "args": list(arguments), "version": LUXI_VERSION}
        frame = json.dumps(request, separators=(",", ":")).encode() + ETX
        answer = _parsed(self._exchange(frame))
        self._hear(answer)
        return _result(answer)

    def _hear(self, answer: object) -> None:
        """Tell the user what an answer says beside its result, once."""
        said = answer.get("warnings") if isinstance(answer, dict) else None
        for text in said if isinstance(said, list) else ():
            if isinstance(text, str) and text not in self.warnings:
                self.warnings.append(text)
                self._notify(f"Warning: {text}")

    def _exchange(self, frame: bytes) -> bytes:
        failures = 0
        while True:
            try:
                connection = self._connected()
                connection.sendall(frame)
                return _receive(connection)
            except TimeoutError:
                self.close()
                raise Unreachable(
                    f"LuxiD did not answer within {self._patience.answer_seconds:.0f} s; "
                    "what was asked may still be done (see gnt-job list)"
                ) from None
            except OSError as error:
                self.close()
                failures += 1
                if failures >= self._patience.sends_max:
                    raise Unreachable(f"The connection to LuxiD broke: {error}") from error
                pause = self._patience.send_pause_seconds * failures
                self._notify(f"The connection to LuxiD broke; trying again in {pause:.0f} s")
                self._sleep(pause)
            except BaseException:
                # Half an answer may be left in the connection.
                self.close()
                raise

    def _connected(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        tries_left = int(self._patience.connect_seconds / self._patience.connect_pause_seconds)
        told = False
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(self._patience.answer_seconds)
                connection.connect(self._address)
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                self._before_retry()
                if tries_left <= 0:
                    raise Unreachable(
                        f"Nobody listens on {self._address}; is LuxiD running?"
                    ) from None
                if not told:
                    self._notify(f"Nobody listens on {self._address}; waiting for LuxiD")
                    told = True
                tries_left -= 1
                self._sleep(self._patience.connect_pause_seconds)
            except PermissionError:
                connection.close()
                raise Unreachable(
                    f"You may not talk to LuxiD on {self._address}; "
                    "become root, or a member of the socket's group"
                ) from None
            except BaseException:
                connection.close()
                raise
            else:
                self._socket = connection
                return connection

    def submit_job(self, opcodes: list[Opcode]) -> int:
        """Submit one job and return its id."""
        return _job_id(self.call("SubmitJob", opcodes))

    def submit_many_jobs(self, jobs: list[list[Opcode]]) -> list[int | CommandError]:
        """Submit jobs; each has its id, or the reason why it was refused."""
        results: list[int | CommandError] = []
        for entry in _list(self.call("SubmitManyJobs", jobs)):
            match entry:
                case [True, job]:
                    results.append(_job_id(job))
                case [False, reason]:
                    results.append(server_failure(reason))
                case other:
                    raise PeerMisuse(f"a submission's result {other!r}")
        return results

    def wait_for_job_change(
        self,
        job: int,
        previous: Row | None,
        serial: int,
        timeout_seconds: int,
        fields: Sequence[str] = ("status",),
    ) -> JobChange:
        """Wait until the job's fields are not ``previous`` or its log goes beyond ``serial``."""
        wanted = list(fields)
        answer = self.call("WaitForJobChange", job, wanted, previous, serial, timeout_seconds)
        match answer:
            case [[*values], [*entries]]:
                return JobChange(values, [_log_entry(entry) for entry in entries])
            case "nochange":
                return JobChange(previous or [], [])
            case other:
                raise PeerMisuse(f"a job's change {other!r}")

    def query(self, what: str, fields: list[str], condition: object = None) -> QueryAnswer:
        """Ask for the given fields of all resources that match a filter."""
        match self.call("Query", what, fields, condition):
            case {"fields": [*definitions], "data": [*rows]}:
                return QueryAnswer(
                    [_definition(entry) for entry in definitions],
                    [[_cell(cell) for cell in _list(row)] for row in rows],
                )
            case _:
                raise PeerMisuse("a query's answer has no fields or no data")

    def query_fields(self, what: str, fields: list[str] | None) -> list[FieldDefinition]:
        """Ask which fields a resource has."""
        match self.call("QueryFields", what, fields):
            case {"fields": [*definitions]}:
                return [_definition(entry) for entry in definitions]
            case _:
                raise PeerMisuse("a list of fields without fields")

    def query_jobs(self, jobs: list[int] | None, fields: list[str]) -> list[Row]:
        """Ask for fields of jobs by their ids."""
        return [_list(row) for row in _list(self.call("QueryJobs", jobs, fields))]

    def query_filters(self, rules: list[str] | None, fields: list[str]) -> list[Row]:
        """Ask for fields of job filter rules by their UUIDs."""
        return [_list(row) for row in _list(self.call("QueryFilters", rules, fields))]

    def query_cluster_info(self) -> dict[str, object]:
        """Ask for the cluster's settings."""
        match self.call("QueryClusterInfo"):
            case dict() as info:
                return info
            case other:
                raise PeerMisuse(f"the cluster's settings {other!r}")

    def query_config_values(self, names: list[str]) -> list[object]:
        """Ask for single values of the configuration; ``None`` for what is unknown."""
        return _list(self.call("QueryConfigValues", names))

    def verdict(self, method: str, *arguments: object) -> tuple[bool, str]:
        """Call a method whose result is whether it worked, and a text."""
        match self.call(method, *arguments):
            case [bool() as done, str() as text]:
                return done, text
            case other:
                raise PeerMisuse(f"{method} returned {other!r}")


def _receive(connection: socket.socket) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        chunk = connection.recv(RECEIVE_BYTES)
        if not chunk:
            raise ConnectionResetError("LuxiD hung up before it answered")
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise PeerMisuse(f"it is larger than {ANSWER_BYTES_MAX} bytes")
        chunks.append(chunk)
        if chunk.endswith(ETX):
            return b"".join(chunks)[:-1]
        if ETX in chunk:
            raise PeerMisuse("more than one answer to one request")


def _parsed(frame: bytes) -> object:
    try:
        parsed: object = json.loads(frame)
    except ValueError as error:
        raise PeerMisuse(f"it is not JSON ({error})") from None
    return parsed


def _result(answer: object) -> object:
    match answer:
        case {"version": int() as version} if version != LUXI_VERSION:
            raise PeerMisuse(f"it has version {version}, this is {LUXI_VERSION}")
        case {"success": True, "result": result}:
            return result
        case {"success": False, "result": result}:
            raise server_failure(result)
        case _:
            raise PeerMisuse("no success or no result")


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise PeerMisuse(f"{value!r} where a list belongs")
    return value


def _job_id(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PeerMisuse(f"{value!r} where a job id belongs")
    return value


def _definition(value: object) -> FieldDefinition:
    match value:
        case {"name": str() as name, "title": str() as title, "kind": str() as kind, **rest}:
            return FieldDefinition(name, title, kind, str(rest.get("doc", "")))
        case other:
            raise PeerMisuse(f"a field's definition {other!r}")


def _cell(value: object) -> tuple[int, object]:
    match value:
        case [int() as status, content]:
            return status, content
        case other:
            raise PeerMisuse(f"a query's cell {other!r}")


def _log_entry(value: object) -> tuple[int, object, str, object]:
    match value:
        case [int() as serial, timestamp, str() as kind, payload]:
            return serial, timestamp, kind, payload
        case other:
            raise PeerMisuse(f"a log entry {other!r}")
