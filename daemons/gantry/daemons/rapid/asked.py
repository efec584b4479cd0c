"""A request with its route: arguments and body, read the way the remote API reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from attrs import field, frozen

from gantry.daemons.rapid.errors import HttpError, bad_request
from gantry.protocols.codec import CLIENT_NESTING_MAX, Json, Malformed, from_bytes
from gantry.protocols.rapi import LIBRARY_REASON, USER_REASON, RapiRoute
from gantry.runtime.http.messages import JSON, Request

NO_BODY: Json = None


def parse_body(request: Request) -> Json:
    """Return the JSON value in a request's body; ``None`` if it has no body.

    Raises:
        HttpError: 415: it does not say that it is JSON; 400: it is not.
    """
    if not request.body:
        return NO_BODY
    if (request.header("content-type") or "").lower() != JSON:
        raise HttpError(415)
    try:
        return from_bytes(request.body, CLIENT_NESTING_MAX)
    except Malformed:
        raise bad_request("Unable to parse JSON data") from None


@frozen
class Asked:
    """What is asked."""

    route: RapiRoute
    values: Mapping[str, str]
    """Of the path's placeholders."""
    arguments: Mapping[str, list[str]]
    """Of the query part; empty ones are as good as not given."""
    body: Json = field(repr=False)
    now_ns: int
    """Nanoseconds since the epoch."""

    @classmethod
    def of(cls, request: Request, route: RapiRoute, values: Mapping[str, str], now: float) -> Asked:
        """Read a request for a route.

        Raises:
            HttpError: its body is not JSON, or does not say so.
        """
        arguments: dict[str, list[str]] = {}
        for name, value in request.target.query:
            if value:
                arguments.setdefault(name, []).append(value)
        return cls(route, values, arguments, parse_body(request), int(now * 1e6) * 1000)

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return an argument of the query part; the first, if it is given several times."""
        return self.arguments.get(name, [default])[0]

    def required(self, name: str) -> str:
        """Return an argument that must be there.

        Raises:
            HttpError: it is not.
        """
        found = self.text(name)
        if found is None:
            raise bad_request(f"Missing the required '{name}' parameter")
        return found

    def flag(self, name: str) -> bool:
        """Return a flag; one that is not given is false.

        Raises:
            HttpError: it is no whole number.
        """
        found = self.text(name)
        try:
            return int(found or 0) != 0
        except ValueError:
            raise bad_request(f"Invalid value for the '{name}' parameter") from None

    def members(self) -> dict[str, Json]:
        """Return the body, which must be an object.

        Raises:
            HttpError: it is not.
        """
        if not isinstance(self.body, dict):
            kind = "NoneType" if self.body is None else type(self.body).__name__
            raise bad_request(f"Body contents: Type is '{kind}', but 'dict' is expected")
        return dict(cast("dict[str, Json]", self.body))

    def reason(self) -> list[Json]:
        """Return the reason trail: what the request says, and what RapiD is asked for.

        The time in it is this request's own, by which LuxiD knows a submission that is repeated.
        """
        library = [f"{LIBRARY_REASON}:{self.route.handler}", "", self.now_ns]
        said = self.text("reason")
        return [library] if said is None else [[USER_REASON, said, self.now_ns], library]
