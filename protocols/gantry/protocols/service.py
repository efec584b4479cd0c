"""Declare a protocol once, as a typed class; derive everything else from it.

A protocol is a :class:`typing.Protocol` whose public async methods are the calls, each with
typed arguments, a typed result, a docstring and the errors that it declares with
:func:`raises`. Wrapped in :class:`Service` it yields the client stub (:func:`stub`), the server's
parsing and rendering (:class:`Method`), the error mapping and the documentation table
(:meth:`Service.markdown`). How bytes travel is none of its business: unix sockets and HTTP are
in :mod:`gantry.runtime`.

Versions: a service has a range of versions that it speaks; two ends agree on the highest common
one in their hello (:func:`agree`). A method says with :func:`since` in which version it appeared;
a call of a method that the agreed version lacks is refused by the caller's own stub.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Generic, TypeVar, cast, get_type_hints

from attrs import frozen

from gantry.protocols import codec
from gantry.protocols.codec import OURS, Malformed
from gantry.protocols.errors import BadCall, Fault, Forbidden, ServiceError

S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Awaitable[object]])

FIRST_VERSION: Final = 1

ALWAYS_RAISED: Final = (BadCall, Fault, Forbidden)
"""What any method may report without saying so."""

_UNSAID: Final = frozenset(error.__name__ for error in ALWAYS_RAISED)


def raises(*errors: type[ServiceError]) -> Callable[[F], F]:
    """Declare the errors that a remote method may report."""

    def mark(method: F) -> F:
        method.__dict__["__raises__"] = errors
        return method

    return mark


def since(version: int) -> Callable[[F], F]:
    """Declare the protocol version in which a method appeared (default: the first)."""

    def mark(method: F) -> F:
        method.__dict__["__since__"] = version
        return method

    return mark


class Method:
    """One remote method: its documentation and its converters."""

    def __init__(self, name: str, function: Callable[..., object]) -> None:
        self.name = name
        self.doc: str = inspect.getdoc(function) or ""
        self.since: int = function.__dict__.get("__since__", FIRST_VERSION)
        self.shown = {p: shown_type(t) for p, t in function.__annotations__.items()}
        """The types as the source names them, ``return`` for the result: for people."""
        hints = get_type_hints(function)
        self.result: Any = hints.pop("return")
        self.params: dict[str, Any] = hints
        signature = inspect.signature(function).parameters
        self.defaults: dict[str, object] = {
            p: signature[p].default
            for p in hints
            if signature[p].default is not inspect.Parameter.empty
        }
        declared: tuple[type[ServiceError], ...] = function.__dict__.get("__raises__", ())
        self.raises: dict[str, type[ServiceError]] = {
            e.__name__: e for e in (*declared, *ALWAYS_RAISED)
        }

    # Converters are made when they are first needed: each end needs half of them, of few methods,
    # and making all of them is a fifth of what a daemon's start costs.

    @cached_property
    def _in(self) -> dict[str, Any]:
        return {p: OURS.get_structure_hook(t) for p, t in self.params.items()}

    @cached_property
    def _out(self) -> dict[str, Any]:
        return {p: OURS.get_unstructure_hook(t) for p, t in self.params.items()}

    @cached_property
    def _result_in(self) -> Any:
        return OURS.get_structure_hook(self.result)

    @cached_property
    def _result_out(self) -> Any:
        return OURS.get_unstructure_hook(self.result)

    def prepare(self) -> None:
        """Make the converters of both ends now, which otherwise the first calls pay for."""
        _ = self._in, self._out, self._result_in, self._result_out

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Match the arguments of a call with the parameters, filling in defaults."""
        given = dict(zip(self.params, args, strict=False))
        return {**self.defaults, **given, **kwargs}

    def dump_args(self, args: Mapping[str, object]) -> dict[str, object]:
        """Render arguments for the wire."""
        return {p: hook(args[p]) for p, hook in self._out.items()}

    def load_args(self, sent: object) -> dict[str, object]:
        """Parse the arguments of a call, by name.

        Raises:
            BadCall: a name or a type is wrong.
        """
        if not isinstance(sent, dict):
            raise BadCall(self.name, "the arguments must be an object")
        unknown, missing = (
            sent.keys() - self.params,
            self.params.keys() - sent - self.defaults.keys(),
        )
        if unknown or missing:
            text = f"unknown arguments {sorted(unknown)}, missing arguments {sorted(missing)}"
            raise BadCall(self.name, text)
        loaded = {p: self._load_one(p, value) for p, value in sent.items()}
        return self.defaults | loaded

    def load_positional(self, sent: Sequence[object]) -> dict[str, object]:
        """Parse the arguments of a call given by position (LUXI's form)."""
        if len(sent) > len(self.params):
            text = f"takes {len(self.params)} arguments, got {len(sent)}"
            raise BadCall(self.name, text)
        return self.load_args(dict(zip(self.params, sent, strict=False)))

    def _load_one(self, param: str, value: object) -> object:
        try:
            return self._in[param](value, self.params[param])
        except Exception as error:
            reason = error if isinstance(error, Malformed) else codec.explain(error)
            raise BadCall(self.name, f"argument {param!r}: {reason}") from error

    def dump_result(self, result: object) -> object:
        """Render a result for the wire."""
        return cast(object, self._result_out(result))

    def load_result(self, sent: object) -> object:
        """Parse a result.

        Raises:
            BadCall: the peer's answer has another shape than declared.
        """
        try:
            return cast(object, self._result_in(sent, self.result))
        except Exception as error:
            raise BadCall(self.name, f"bad result: {codec.explain(error)}") from error

    def dump_error(self, error: ServiceError) -> dict[str, object]:
        """Render an error for the wire; one that was not declared is a defect of the server."""
        kind = type(error).__name__
        if kind not in self.raises:
            raise error
        return {codec.TAG: kind, **cast("dict[str, object]", OURS.unstructure(error))}

    def load_error(self, sent: object) -> ServiceError:
        """Parse an error that the peer reported."""
        body = dict(sent) if isinstance(sent, dict) else {}
        kind = body.pop(codec.TAG, None)
        if not isinstance(kind, str) or kind not in self.raises:
            return BadCall(self.name, f"undeclared error {sent!r:.200}")
        try:
            return OURS.structure(body, self.raises[kind])
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it becomes a BadCall
            return BadCall(self.name, f"malformed error {kind}: {codec.explain(error)}")


class Service(Generic[S]):
    """A protocol class made usable; invariant in ``S``, so that mypy pins both ends to it."""

    def __init__(
        self,
        interface: Callable[..., S],
        *,
        versions: tuple[int, int] = (FIRST_VERSION, FIRST_VERSION),
        wire_name: Callable[[str], str] = str,
    ) -> None:
        self.name: str = interface.__name__
        self.doc: str = inspect.getdoc(interface) or ""
        self.versions = versions
        self.methods: dict[str, Method] = {
            wire_name(name): Method(name, function)
            for name, function in vars(interface).items()
            if inspect.iscoroutinefunction(function) and not name.startswith("_")
        }
        self.client = _client_class(self.name, self.methods)
        """The class of :func:`stub`'s clients."""

    @cached_property
    def greeting(self) -> object:
        """What an end of a connection says first, rendered."""
        return codec.dump(hello(self))

    def method(self, wire_name: object) -> Method:
        """Find a method by its name on the wire.

        Raises:
            BadCall: there is no such method.
        """
        if not isinstance(wire_name, str) or wire_name not in self.methods:
            raise BadCall(f"{wire_name!s:.80}", f"{self.name} has no such method")
        return self.methods[wire_name]

    def markdown(self) -> str:
        """Return the reference table that lives in ``doc/design/``."""
        rows = ["| method | parameters | result | errors | meaning |", "|---|---|---|---|---|"]
        for wire_name, m in self.methods.items():
            params = ", ".join(f"{p}: {m.shown[p]}" for p in m.params)
            errors = ", ".join(sorted(m.raises.keys() - _UNSAID))
            meaning = " ".join(m.doc.split("\n\n")[0].split())
            cells = (f"`{wire_name}`", params, m.shown["return"], errors, meaning)
            rows.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
        return "\n".join(rows)


def shown_type(hint: object) -> str:
    """Render a type for a documentation table, without module names."""
    text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    return re.sub(r"\b(?:\w+\.)+", "", text) or "None"


@frozen
class Hello:
    """What each end of a connection says first."""

    protocol: str
    lowest: int
    highest: int
    features: tuple[str, ...] = ()


def hello(service: Service[Any]) -> Hello:
    """Return this side's greeting for a service."""
    return Hello(service.name, *service.versions)


def agree(ours: Hello, theirs: Hello) -> int | None:
    """Return the highest version that both ends speak, or ``None`` if there is none."""
    if ours.protocol != theirs.protocol:
        return None
    version = min(ours.highest, theirs.highest)
    return version if version >= max(ours.lowest, theirs.lowest) else None


Call = Callable[[str, Method, Mapping[str, object]], Awaitable[object]]
"""How a stub reaches its server: (wire name, method, rendered arguments) -> JSON result.

It raises the :class:`ServiceError` that the server reported, or :class:`ConnectionLost`.
"""


def _client_class(name: str, methods: Mapping[str, Method]) -> Callable[[Call], object]:
    """Make a class whose instances have the methods and send their calls through a :data:`Call`."""

    def initialise(self: Any, call: Call) -> None:
        self._call = call

    def remote_method(wire_name: str, method: Method) -> Callable[..., Awaitable[object]]:
        async def remote(self: Any, *args: object, **kwargs: object) -> object:
            sent = method.dump_args(method.bind(args, kwargs))
            return method.load_result(await self._call(wire_name, method, sent))

        remote.__name__, remote.__doc__ = method.name, method.doc
        return remote

    body: dict[str, object] = {"__slots__": ("_call",), "__init__": initialise}
    body |= {m.name: remote_method(wire_name, m) for wire_name, m in methods.items()}
    return type(f"{name}Client", (), body)


def stub(service: Service[S], call: Call) -> S:
    """Return a client of the service's own type that sends its calls through ``call``."""
    return cast(S, service.client(call))
