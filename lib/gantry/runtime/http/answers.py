"""What a server writes before the body of an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from gantry.runtime.http.messages import Response, phrase_of
from gantry.runtime.http.plain import HEADS_KEPT, is_plain_field

BODILESS: Final = frozenset({204, 304})
"""Statuses of answers that have no body, whatever a handler says."""

_OURS: Final = re.compile("content-length|date|server")


@lru_cache(HEADS_KEPT)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def headers_of(response: Response, server: str, now: float) -> list[tuple[str, str]]:
    """Return all headers of an answer but those that steer the connection.

    Args:
        response: the answer.
        server: what the server calls itself, if not empty.
        now: seconds since the epoch.
    """
    headers = [("date", _date(int(now)))]
    headers += [("server", server)] if server else []
    if response.content_type is not None and response.status not in BODILESS:
        headers.append(("content-type", response.content_type))
    if isinstance(response.body, bytes) and response.status not in BODILESS:
        headers.append(("content-length", str(len(response.body))))
    return [*headers, *response.headers]


def plain_answer(response: Response, server: str, now: float) -> bytes | None:
    """Render an answer after which the connection goes on; ``None``: h11 shall look at it.

    Where it is not ``None``, h11 would write the same bytes.
    """
    status, body = response.status, response.body
    if not isinstance(body, bytes) or status in BODILESS or not 200 <= status <= 599:
        return None
    fields = headers_of(response, server, now)
    if not _are_plain(response.headers) or not all(is_plain_field(*each) for each in fields):
        return None
    lines = [f"HTTP/1.1 {status} {phrase_of(status)}", *(f"{n}: {v}" for n, v in fields), "", ""]
    return "\r\n".join(lines).encode("ascii") + body


def _are_plain(headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a handler's own headers say nothing that is the server's to say."""
    return not any(_OURS.fullmatch(name) for name, _ in headers)
