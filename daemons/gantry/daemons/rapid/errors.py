"""Errors as the remote API tells them, and which of LuxiD's become which status."""

from __future__ import annotations

import html
from http import HTTPStatus

import trio
from typing_extensions import override

from gantry.protocols.codec import Json, to_bytes
from gantry.protocols.errors import (
    BadCall,
    ConnectionLost,
    GanetiError,
    JobQueueDrainError,
    JobQueueFull,
    OpPrereqError,
)
from gantry.runtime.http.messages import JSON, Headers, Response
from gantry.runtime.luxi_client import LuxiMisuse, LuxiRefused


class HttpError(Exception):
    """A request that is not answered with what was asked for."""

    def __init__(self, status: int, message: str | None = None, headers: Headers = ()) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = HTTPStatus(status).phrase if message is None else message
        self.headers = headers

    @override
    def __str__(self) -> str:
        return f"{self.status} {self.message}"


def bad_request(message: str) -> HttpError:
    """Return the error that says what is wrong with a request."""
    return HttpError(400, message)


def rendered(value: Json, status: int = 200, headers: Headers = ()) -> Response:
    """Render an answer; it ends with a line feed, as Ganeti's does."""
    return Response(status, to_bytes(value) + b"\n", JSON, headers)


def error_response(error: HttpError) -> Response:
    """Render an error; what could be markup in it is escaped."""
    body = {
        "code": error.status,
        "message": html.escape(error.message),
        "explain": HTTPStatus(error.status).description,
    }
    return rendered(body, error.status, error.headers)


def http_error_of(error: Exception) -> HttpError | None:
    """Say how a failure of LuxiD is told; ``None``: it is none, but a defect of ours."""
    match error:
        case HttpError():
            return error
        case JobQueueFull() | JobQueueDrainError():
            return HttpError(503, _text(error) or "the job queue is full")
        case GanetiError():
            return HttpError(500, _text(error))
        case LuxiRefused() | LuxiMisuse() | ConnectionLost() | BadCall():
            return HttpError(502, str(error))
        case PermissionError():
            return HttpError(500, f"RapiD may not talk to LuxiD: {error.strerror}")
        case trio.TooSlowError():
            return HttpError(504, "LuxiD did not answer in time")
        case _:
            return None


def is_unknown_entity(error: OpPrereqError) -> bool:
    """Whether an object was asked for that is not there."""
    return error.args[1:] == ("unknown_entity",)


def _text(error: GanetiError) -> str:
    """Return the arguments as Ganeti's RAPI shows them: one alone, several as a tuple."""
    if len(error.args) == 1:
        return str(error.args[0])
    return str(error.args) if error.args else ""
