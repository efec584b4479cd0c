"""A service that does nothing but remember what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from tests.hostile.door import BrokenPromise

from gantry.protocols.codec import from_bytes, to_bytes
from gantry.protocols.errors import BadCall
from gantry.protocols.service import Method, Service

S = TypeVar("S")


def recording(service: Service[S], calls: list[str]) -> S:
    """Return an implementation of a service that refuses every call once it has noted it.

    Arguments that a door lets in are of their declared types: they can be rendered, and read back.
    """

    def noting(method: Method) -> Callable[..., Any]:
        async def call(self: object, **args: object) -> object:
            del self
            calls.append(method.name)
            _is_typed(method, args)
            raise BadCall(method.name, "this is a test")

        return call

    body = {m.name: noting(m) for m in service.methods.values()}
    return cast(S, type(f"Recording{service.name}", (), body)())


def _is_typed(method: Method, args: Mapping[str, object]) -> None:
    again = method.load_args(from_bytes(to_bytes(method.dump_args(args))))
    if again != args:
        raise BrokenPromise(f"{method.name} was given {args!r:.500}")
