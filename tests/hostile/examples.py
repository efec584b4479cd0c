"""Proper values of any declared type, always the same ones: what seeds are made of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from tests.property.protocols.typed_values import _values

from gantry.protocols.codec import dump, to_bytes
from gantry.protocols.framing import encode_frame
from gantry.protocols.service import Method, Service, hello

PER_TYPE = 3
"""Enough that optional fields are there and not there."""


def examples(hint: Any, count: int = PER_TYPE) -> tuple[Any, ...]:  # noqa: ANN401 - a hint is any type form
    """Return values of a type."""
    return _examples(hint, count)


@cache
def _examples(hint: Any, count: int) -> tuple[Any, ...]:  # noqa: ANN401 - a hint is any type form
    found: list[object] = []

    @settings(
        derandomize=True,
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_values(hint))
    def collect(value: object) -> None:
        found.append(value)

    collect()
    return tuple(found[:count])


def calls_of(method: Method) -> Iterator[dict[str, object]]:
    """Yield the rendered arguments of some proper calls."""
    each = {name: examples(hint) for name, hint in method.params.items()}
    for number in range(PER_TYPE if each else 1):
        args = {name: found[number % len(found)] for name, found in each.items()}
        yield method.dump_args(args)


def greeted(service: Service[Any], *frames: object) -> bytes:
    """Return what a client of a service on a unix socket says, from its hello on."""
    sent = [{"hello": dump(hello(service))}, *frames]
    return b"".join(map(encode_frame, sent))


def conversations(service: Service[Any]) -> Iterator[bytes]:
    """Yield what proper clients say: a hello, a call of each method, and a cancellation."""
    for wire_name, method in service.methods.items():
        for args in calls_of(method):
            call = {"id": 1, "call": wire_name, "args": args}
            yield greeted(service, call, {"id": 1, "cancel": True}, {**call, "id": 2})


def bodies(service: Service[Any]) -> Iterator[tuple[str, bytes]]:
    """Yield calls as they go over HTTP: a path, and a body."""
    for wire_name, method in service.methods.items():
        for args in calls_of(method):
            yield f"/{service.name}/{wire_name}", to_bytes(args)
