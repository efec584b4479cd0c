"""Typed services over HTTP.

=========  ========================================================================================
call       ``POST /<service>/<method>``, a JSON object of the arguments by name;
           ``Gantry-Protocol: <service>/<version>`` (or ``<lowest>-<highest>``);
           ``Gantry-Deadline-Seconds``: the server cancels the call after so long
hello      ``GET /<service>``: which versions the server speaks
200        ``{"ok": <result>}``, or ``{"error": {"kind": ..., ...}}`` with an error that the method
           declares; ``Gantry-Protocol`` names the version that was agreed on
400, 403,  the same ``error``, but nothing was done: ``BadCall``, ``VersionMismatch``,
404        ``Forbidden``
504        the deadline passed; whether the call had an effect is unknown
=========  ========================================================================================

Everything else (405, 413, 500, 503, ...) has the server's own error body
(:func:`gantry.runtime.http.messages.error_response`).
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, cast

import trio
from attrs import define, field

from gantry.protocols import codec
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import (
    BadCall,
    ConnectionLost,
    Fault,
    Forbidden,
    ServiceError,
    Unreachable,
    VersionMismatch,
    shown_versions,
)
from gantry.protocols.service import Call, Hello, Method, Service, agree, hello
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.messages import (
    JSON,
    Handler,
    HeadCheck,
    Headers,
    Reply,
    Request,
    Response,
    error_response,
    json_response,
    method_not_allowed,
)

S = TypeVar("S")

PROTOCOL_HEADER: Final = "gantry-protocol"
DEADLINE_HEADER: Final = "gantry-deadline-seconds"

DEADLINE_SECONDS_DEFAULT: Final = 900.0
"""For a caller that names none: Ganeti's bound for an ordinary node call."""

DEADLINE_SECONDS_MAX: Final = 86400.0
"""Ganeti's longest (a disk copy, an import); a call must end some day."""

Authorize = Callable[[Request, Method], Awaitable[Forbidden | None]]
"""Says whether the sender of a request may call a method: ``None``, or why not."""

_TRANSPORT_ERRORS: Final[Mapping[str, type[ServiceError]]] = {
    error.__name__: error for error in (BadCall, Forbidden, VersionMismatch)
}


async def everybody(_request: Request, _method: Method) -> Forbidden | None:
    """Authorize every call, for services that only tell what everybody may know."""
    await trio.lowlevel.checkpoint()
    return None


def certificate_required(open_paths: frozenset[str]) -> HeadCheck:
    """Return a check that refuses senders without certificate before their body is read.

    Args:
        open_paths: the paths that need no certificate, for example NodeD's ``/join``.
    """

    def check(request: Request) -> Response | None:
        if request.peer is not None or request.path in open_paths:
            return None
        return error_response(403, "a client certificate of this cluster is required")

    return check


# --- the server ----------------------------------------------------------------------------------


class _Refused(Exception):
    """The call is not made; the status says what kind of reason the error is."""

    def __init__(self, status: int, error: ServiceError) -> None:
        super().__init__(status, error)
        self.response = json_response({"error": _tagged(error)}, status)


def http_handler(
    service: Service[S], implementation: S, authorize: Authorize = everybody
) -> Handler:
    """Return the handler of ``/<service>`` and what is below it.

    Join several with :func:`gantry.runtime.http.messages.by_first_segment`. An exception of the
    implementation that it did not declare is the server's to log and to answer with status 500.
    """
    endpoint = _Endpoint(service, implementation, authorize)
    return endpoint.handle


@define
class _Endpoint:
    service: Service[Any]
    implementation: object
    authorize: Authorize

    async def handle(self, request: Request) -> Response:
        match (request.method, request.segments):
            case ("GET", (self.service.name,)):
                return json_response(codec.dump(hello(self.service)))
            case (_, (self.service.name,)):
                return method_not_allowed(("GET",))
            case ("POST", (self.service.name, wire_name)):
                try:
                    return await self._call(request, wire_name)
                except _Refused as refused:
                    return refused.response
            case (_, (self.service.name, _)):
                return method_not_allowed(("POST",))
            case _:
                return error_response(404, f"no such resource: {request.path}")

    async def _call(self, request: Request, wire_name: str) -> Response:
        method = self._method(wire_name)
        refusal = await self.authorize(request, method)
        if refusal is not None:
            raise _Refused(403, refusal)
        version = self._version(request, method)
        seconds = _deadline(request, method)
        args = _arguments(request, method)
        with trio.move_on_after(seconds):
            answer = await self._answer(method, args)
            agreed = ((PROTOCOL_HEADER, f"{self.service.name}/{version}"),)
            return json_response(answer, headers=agreed)
        return error_response(504, f"{method.name} was cancelled after {seconds:g} seconds")

    async def _answer(self, method: Method, args: Mapping[str, object]) -> Mapping[str, object]:
        try:
            result = await getattr(self.implementation, method.name)(**args)
        except ServiceError as error:
            return {"error": method.dump_error(error)}
        return {"ok": method.dump_result(result)}

    def _method(self, wire_name: str) -> Method:
        try:
            return self.service.method(wire_name)
        except BadCall as error:
            raise _Refused(404, error) from None

    def _version(self, request: Request, method: Method) -> int:
        """Agree on a version with the caller.

        Raises:
            _Refused: there is none, or the method came later.
        """
        sent, ours = request.header(PROTOCOL_HEADER), hello(self.service)
        theirs = parse_protocol(sent or "")
        if theirs is None or theirs.protocol != ours.protocol:
            expected = f"{ours.protocol}/{shown_versions(self.service.versions)}"
            text = f"expected the header {PROTOCOL_HEADER}: {expected}, got {sent!r:.80}"
            raise _Refused(400, BadCall(method.name, text))
        version = agree(ours, theirs)
        if version is None:
            range_ = (theirs.lowest, theirs.highest)
            mismatch = VersionMismatch(ours.protocol, range_, self.service.versions)
            raise _Refused(400, mismatch)
        if method.since > version:
            text = f"appeared in version {method.since}, but {version} was agreed on"
            raise _Refused(404, BadCall(method.name, text))
        return version


def _deadline(request: Request, method: Method) -> float:
    sent = request.header(DEADLINE_HEADER)
    if sent is None:
        return DEADLINE_SECONDS_DEFAULT
    try:
        seconds = float(sent)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        text = f"{DEADLINE_HEADER} must be a positive number, got {sent!r:.80}"
        raise _Refused(400, BadCall(method.name, text))
    return min(seconds, DEADLINE_SECONDS_MAX)


def _arguments(request: Request, method: Method) -> Mapping[str, object]:
    content_type = request.header("content-type")
    if content_type is not None and content_type.partition(";")[0].strip().lower() != JSON:
        raise _Refused(415, BadCall(method.name, f"expected {JSON}, got {content_type!r:.80}"))
    try:
        return method.load_args(codec.from_bytes(request.body))
    except Malformed as error:
        raise _Refused(400, BadCall(method.name, str(error))) from None
    except BadCall as error:
        raise _Refused(400, error) from None


def parse_protocol(sent: str) -> Hello | None:
    """Parse ``NodeD/1`` or ``NodeD/1-2``; ``None`` if it is neither."""
    match = re.fullmatch(r"(\w{1,40})/([0-9]{1,6})(?:-([0-9]{1,6}))?", sent, re.ASCII)
    if match is None:
        return None
    lowest = int(match[2])
    highest = int(match[3]) if match[3] else lowest
    return Hello(match[1], lowest, highest) if lowest <= highest else None


def _tagged(error: ServiceError) -> dict[str, object]:
    body = cast("dict[str, object]", codec.dump(error))
    return {codec.TAG: type(error).__name__, **body}


# --- the client ----------------------------------------------------------------------------------


def http_call(
    client: HttpClient, service: Service[Any], deadline_seconds: float = DEADLINE_SECONDS_DEFAULT
) -> Call:
    """Return the way to a service for :func:`gantry.protocols.service.stub`.

    A call's deadline is ``deadline_seconds`` or that of the enclosing cancel scope, whichever is
    earlier; the server is told, and cancels the call when it has passed.

    A call raises what the method declares, and:

    - :class:`Unreachable`: nothing was done;
    - :class:`ConnectionLost`: no answer in time; what was done is unknown;
    - :class:`Forbidden`, :class:`VersionMismatch`, :class:`BadCall`: refused, nothing was done;
    - :class:`Fault`: the server failed, its log says how.
    """
    return _Caller(client, service, deadline_seconds).call


@define
class _Caller:
    client: HttpClient
    service: Service[Any]
    deadline_seconds: float
    _agreed: int | None = field(default=None, init=False)

    async def call(self, wire_name: str, method: Method, args: Mapping[str, object]) -> object:
        version = await self._version()
        if method.since > version:
            text = f"needs version {method.since} of {self.service.name}, the server has {version}"
            raise BadCall(wire_name, text)
        seconds = self._seconds_left()
        headers: Headers = (
            ("content-type", JSON),
            (PROTOCOL_HEADER, f"{self.service.name}/{version}"),
            (DEADLINE_HEADER, f"{seconds:.3f}"),
        )
        reply = await self.client.request(
            "POST",
            f"/{self.service.name}/{wire_name}",
            body=b"".join(codec.to_pieces(args)),
            headers=headers,
            deadline_seconds=seconds,
        )
        return self._result(reply, method)

    def _seconds_left(self) -> float:
        left = trio.current_effective_deadline() - trio.current_time()
        return max(0.001, min(self.deadline_seconds, left))

    async def _version(self) -> int:
        """Ask the server for its versions, once, unless there is no choice."""
        lowest, highest = self.service.versions
        if lowest == highest:
            return highest
        if self._agreed is None:
            target, seconds = f"/{self.service.name}", self._seconds_left()
            reply = await self.client.request("GET", target, deadline_seconds=seconds)
            theirs = self._greeting(reply)
            self._agreed = agree(hello(self.service), theirs)
            if self._agreed is None:
                range_ = (theirs.lowest, theirs.highest)
                raise VersionMismatch(self.service.name, self.service.versions, range_)
        return self._agreed

    def _greeting(self, reply: Reply) -> Hello:
        try:
            if reply.status == 200:
                return codec.load(Hello, codec.from_bytes(reply.body))
        except Malformed:
            pass
        raise Unreachable(f"{self.client.name} does not serve {self.service.name}")

    def _result(self, reply: Reply, method: Method) -> object:
        """Return the call's result, or raise what the reply tells."""
        try:
            body = codec.from_bytes(reply.body)
        except Malformed:
            body = None
        answer = body if isinstance(body, dict) else {}
        if reply.status == 200 and "ok" in answer:
            return answer["ok"]
        if "error" in answer:
            raise _error_of(answer["error"], method)
        explain = html.unescape(str(answer.get("explain", "it gave no reason")))
        text = f"{self.client.name} answered {method.name} with status {reply.status}: {explain}"
        match reply.status:
            case 403:
                raise Forbidden(method.name, explain)
            case 500:
                raise Fault(text)
            case 503:  # sent before the request is looked at
                raise Unreachable(text)
            case status if 400 <= status < 500:
                raise BadCall(method.name, text)
            case _:
                raise ConnectionLost(text)


def _error_of(sent: object, method: Method) -> ServiceError:
    kind = sent.get(codec.TAG) if isinstance(sent, dict) else None
    transport = _TRANSPORT_ERRORS.get(kind) if isinstance(kind, str) else None
    if transport is None or not isinstance(sent, dict):
        return method.load_error(sent)
    fields = {name: value for name, value in sent.items() if name != codec.TAG}
    try:
        return codec.load(transport, fields)
    except Malformed as error:
        return BadCall(method.name, f"malformed error {kind}: {error}")
