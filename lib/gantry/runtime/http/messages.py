"""Requests and responses as values; handlers are functions from one to the other."""

from __future__ import annotations

import html
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from attrs import field, frozen

from gantry.protocols.codec import to_bytes
from gantry.security.certificates import Certificate

Headers = tuple[tuple[str, str], ...]
"""Names in lower case with their values, in the order in which they were received."""

JSON: str = "application/json"


class BadTarget(ValueError):
    """A request's target is not one that a server of ours could have."""


def joined_values(headers: Headers, name: str) -> str | None:
    """Return a header's values joined by commas (RFC 9110 section 5.3), or ``None``."""
    values = [value for each, value in headers if each == name]
    return ", ".join(values) if values else None


@frozen
class Target:
    """What a request is about, taken apart."""

    path: str
    """As it was sent: still percent-encoded, without the query."""
    segments: tuple[str, ...]
    """The path's parts between slashes, decoded; ``/`` has none, ``/a/`` has ``("a", "")``."""
    query: tuple[tuple[str, str], ...]
    """The query's names and values, decoded, in order."""

    @classmethod
    def of(cls, sent: str) -> Target:
        """Take apart the target in origin form, absolute form or ``*`` (RFC 9112 section 3.2).

        Raises:
            BadTarget: it has another form, or decodes to something that is not UTF-8.
        """
        if sent == "*":
            return cls("*", ("*",), ())
        if not sent.startswith("/"):
            sent = _origin_form(sent)
        path, _, query = sent.partition("#")[0].partition("?")
        try:
            parts = tuple(unquote_to_bytes(part).decode() for part in path.split("/")[1:])
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
        except ValueError as error:
            raise BadTarget(f"the target does not decode: {error}") from error
        return cls(path, () if parts == ("",) else parts, tuple(pairs))


def _origin_form(sent: str) -> str:
    try:
        split = urlsplit(sent)
    except ValueError as error:
        raise BadTarget(f"the target is no URL: {error}") from error
    if split.scheme not in ("http", "https") or not split.netloc:
        raise BadTarget("the target must begin with a slash")
    return (split.path or "/") + (f"?{split.query}" if split.query else "")


@frozen
class Request:
    """One whole request, its body read."""

    method: str
    target: Target
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    peer: Certificate | None = None
    """The client's certificate, verified against the server's authorities; ``None`` without."""
    peer_address: str = ""
    """The client's IP address, if it has one."""

    @property
    def path(self) -> str:
        """The path as it was sent."""
        return self.target.path

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded parts of the path."""
        return self.target.segments

    def header(self, name: str) -> str | None:
        """Return a header by its lower-case name; repeated ones are joined by commas."""
        return joined_values(self.headers, name)

    def parameter(self, name: str) -> str | None:
        """Return the last value that the query gives a name, or ``None``."""
        return dict(self.target.query).get(name)


@frozen
class Response:
    """One response; ``Content-Length``, ``Date`` and the like are the server's business."""

    status: int = 200
    body: bytes | AsyncIterable[bytes] = field(default=b"", repr=False)
    """All of it; or its pieces, sent as they come. An async generator is closed by the server."""
    content_type: str | None = JSON
    headers: Headers = ()
    """Others, for example ``("connection", "close")``."""


Handler = Callable[[Request], Awaitable[Response]]
"""Answers requests. An exception that it raises is logged and answered with status 500."""

HeadCheck = Callable[[Request], Response | None]
"""Looks at a request before its body was read (``body`` is empty); may answer it at once."""


@frozen
class Reply:
    """What a client got: a whole response."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Return a header by its lower-case name; repeated ones are joined by commas."""
        return joined_values(self.headers, name)


def json_response(value: object, status: int = 200, headers: Headers = ()) -> Response:
    """Render a JSON value as a response."""
    return Response(status, to_bytes(value), JSON, headers)


def text_response(text: str, status: int = 200, content_type: str = "text/plain") -> Response:
    """Render text (UTF-8) as a response."""
    return Response(status, text.encode(), f"{content_type}; charset=utf-8")


def phrase_of(status: int) -> str:
    """Return the standard reason phrase of a status, ``""`` if it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def error_response(status: int, explain: str, headers: Headers = ()) -> Response:
    """Render an error in the form of Ganeti's remote API, which all our servers use."""
    body = {"code": status, "message": phrase_of(status), "explain": html.escape(explain)}
    return json_response(body, status, headers)


def method_not_allowed(allowed: Iterable[str]) -> Response:
    """Say which methods a resource has (RFC 9110 section 15.5.6)."""
    names = ", ".join(sorted(allowed))
    return error_response(405, f"allowed here: {names}", (("allow", names),))


def by_first_segment(handlers: Mapping[str, Handler]) -> Handler:
    """Return a handler that chooses another by the path's first segment; 404 if there is none."""

    async def choose(request: Request) -> Response:
        name = request.segments[0] if request.segments else ""
        handler = handlers.get(name)
        if handler is None:
            return error_response(404, f"no such resource: {request.path}")
        return await handler(request)

    return choose
