"""The resources of an HTTP interface as one table of typed routes.

A server dispatches by the table, and the table is its documentation: what is not in it does not
exist, what is in it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic, Literal, TypeVar

from attrs import define, field, frozen

HttpMethod = Literal["GET", "PUT", "POST", "DELETE"]

ArgumentKind = Literal["flag", "text", "texts"]
"""``flag``: a whole number of which only 0 is false. ``texts``: may be given several times."""

NAME: Final = r"[\w.-]+"
"""What a placeholder in a path stands for, unless the table says otherwise."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@frozen
class Argument:
    """An argument in the query part of a URL."""

    name: str
    kind: ArgumentKind
    doc: str = ""


@frozen(kw_only=True)
class Route:
    """What one method does with the resources of one form."""

    method: HttpMethod
    template: str
    """The path, such as ``/2/jobs/{job_id}``."""
    arguments: tuple[Argument, ...] = ()
    answer: str
    """What the body of a successful answer holds, for the documentation."""


R = TypeVar("R", bound=Route)


@frozen
class Resource(Generic[R]):
    """What a path names: what can be done with it, and the values of its placeholders."""

    routes: Mapping[str, R]
    """By method."""
    values: Mapping[str, str]


@frozen
class _Pattern(Generic[R]):
    parts: tuple[re.Pattern[str], ...]
    names: tuple[str | None, ...]
    """For each part the placeholder's name, ``None`` for a fixed part."""
    routes: dict[str, R]

    def values(self, segments: Sequence[str]) -> dict[str, str] | None:
        pairs = zip(self.parts, segments, strict=True)
        if not all(part.fullmatch(segment) for part, segment in pairs):
            return None
        return {n: s for n, s in zip(self.names, segments, strict=True) if n is not None}


@define
class RouteTable(Generic[R]):
    """Routes, found by path.

    Raises:
        ValueError: two routes have the same method and template.
    """

    routes: tuple[R, ...]
    placeholders: Mapping[str, str] = field(factory=dict)
    """Regular expressions for placeholders that stand for something else than :data:`NAME`."""
    _by_length: dict[int, list[_Pattern[R]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        patterns: dict[str, _Pattern[R]] = {}
        for route in self.routes:
            if route.template not in patterns:
                patterns[route.template] = self._pattern(route.template)
            known = patterns[route.template].routes
            if known.setdefault(route.method, route) is not route:
                raise ValueError(f"{route.method} {route.template} is there twice")
        for pattern in sorted(patterns.values(), key=_specificity):
            self._by_length.setdefault(len(pattern.parts), []).append(pattern)

    def _pattern(self, template: str) -> _Pattern[R]:
        segments = [] if template == "/" else template.split("/")[1:]
        names = [_placeholder(segment) for segment in segments]
        parts = [
            re.compile(re.escape(segment) if name is None else self.placeholders.get(name, NAME))
            for segment, name in zip(segments, names, strict=True)
        ]
        return _Pattern(tuple(parts), tuple(names), {})

    def find(self, segments: Sequence[str]) -> Resource[R] | None:
        """Find what a path names, given as its decoded segments; fixed parts come first."""
        for pattern in self._by_length.get(len(segments), ()):
            values = pattern.values(segments)
            if values is not None:
                return Resource(pattern.routes, values)
        return None


def _placeholder(segment: str) -> str | None:
    found = _PLACEHOLDER.fullmatch(segment)
    return found[1] if found else None


def _specificity(pattern: _Pattern[R]) -> tuple[bool, ...]:
    return tuple(name is not None for name in pattern.names)


def shown_arguments(arguments: Iterable[Argument]) -> str:
    """Render arguments for a documentation table."""
    marks: Mapping[ArgumentKind, str] = {"flag": "=0|1", "text": "", "texts": "..."}
    return ", ".join(f"`{each.name}{marks[each.kind]}`" for each in arguments)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table of documentation."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
