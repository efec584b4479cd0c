"""The head of a request: parsed, and checked against the limits before its body is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import BadTarget, Request, Target, error_response
from gantry.security.certificates import Certificate


class Rejected(Exception):
    """A request is refused; the connection ends after the answer."""

    def __init__(self, status: int, explain: str) -> None:
        super().__init__(status, explain)
        self.response = error_response(status, explain)


class Head(Protocol):
    """What h11 tells of a request, or :mod:`gantry.runtime.http.plain`."""

    @property
    def method(self) -> bytes:
        """In upper case, mostly."""

    @property
    def target(self) -> bytes:
        """As it was sent."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Names in lower case, and values."""

    @property
    def http_version(self) -> bytes:
        """Such as ``1.1``."""


def parsed_head(head: Head, limits: Limits, peer: Certificate | None, peer_address: str) -> Request:
    """Return the request without its body.

    Raises:
        Rejected: it breaks a limit, or asks for what no server of ours does.
    """
    size = len(head.target) + sum(len(n) + len(v) + 4 for n, v in head.headers)
    if size > limits.header_bytes or len(head.headers) > limits.header_count:
        raise Rejected(431, "the request has too many or too long headers")
    if not head.http_version.startswith(b"1."):
        raise Rejected(505, "this server speaks HTTP/1")
    if head.method == b"CONNECT":
        raise Rejected(501, "this server is no proxy")
    try:
        target = Target.of(head.target.decode("ascii"))
    except (BadTarget, UnicodeDecodeError) as error:
        raise Rejected(400, str(error)) from error
    headers = tuple((n.decode("ascii"), v.decode("latin-1")) for n, v in head.headers)
    request = Request(
        method=head.method.decode("ascii"),
        target=target,
        headers=headers,
        peer=peer,
        peer_address=peer_address,
    )
    _check_framing(request, limits.body_bytes)
    return request


def _check_framing(request: Request, body_bytes_max: int) -> None:
    """Refuse bodies that are too large or ambiguous."""
    length = request.header("content-length")
    if length is not None and request.header("transfer-encoding") is not None:
        # h11 would go by the chunks; a proxy in front that goes by the length would be fooled.
        raise Rejected(400, "a body has a length or is chunked, not both")
    if length is not None and int(length) > body_bytes_max:
        raise Rejected(413, f"the body is larger than {body_bytes_max} bytes")
    expected = request.header("expect")
    if expected is not None and expected.lower() != "100-continue":
        raise Rejected(417, "only 100-continue can be expected")
