"""The MonD protocol: what a node measures, as JSON over HTTP for everybody who may reach the port.

Forms and paths are Ganeti's, so that its scrapers and tools read ours; ``/metrics`` is an
addition, in the OpenMetrics form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from attrs import evolve, frozen

from gantry.protocols.codec import Json, Malformed, load
from gantry.protocols.routes import Route, RouteTable, markdown_table

PORT: Final = 1815

SERVER: Final = "Snap/1.1.2.0"
"""The ``Server`` header of Ganeti's MonD, by which scrapers may know it."""

BUILT_IN: Final = "B"
"""The version of every collector that comes with the daemon."""

MICROSECONDS: Final = 1_000_000

Category = Literal["instance", "storage", "daemon", "hypervisor"]
CATEGORY_NONE: Final = "default"
"""How paths and lists call collectors without a category."""

PERFORMANCE: Final = 0
STATUS: Final = 1
Kind = Literal[0, 1]
"""``PERFORMANCE``: figures. ``STATUS``: whether something is as it should be."""

OK: Final = 0
TEMPORARILY_BAD: Final = 1
UNKNOWN: Final = 2
BAD: Final = 4
StatusCode = Literal[0, 1, 2, 4]


@frozen
class CollectorStatus:
    """How good things are; of several the highest code counts."""

    code: StatusCode
    message: str = ""


def worst(statuses: tuple[CollectorStatus, ...]) -> CollectorStatus:
    """Return the status of the whole: the worst code, and everything that was said about it."""
    code: StatusCode = max((each.code for each in statuses), default=OK)
    texts = [each.message for each in statuses if each.code == code and each.message]
    return CollectorStatus(code, "; ".join(texts) if code != OK else "")


@frozen
class CollectorInfo:
    """What tells one collector from another."""

    name: str
    category: Category | None
    kind: Kind
    format_version: int = 1

    @property
    def shown_category(self) -> str:
        """The category as in paths and lists."""
        return self.category or CATEGORY_NONE


@frozen
class Report:
    """What one collector found."""

    name: str
    version: str
    format_version: int
    timestamp: int
    """Nanoseconds since the epoch."""
    category: Category | None
    kind: Kind
    data: Json


@frozen
class CollectorSettings:
    """Whether and how often a collector runs."""

    active: bool = True
    interval_seconds: float = 5.0


@frozen
class _WireSettings:
    active: bool
    interval: int


def parse_settings(answer: Json) -> Mapping[str, CollectorSettings]:
    """Parse RConfD's answer about data collectors; what makes no sense there is left out."""
    if not isinstance(answer, dict):
        return {}
    return {name: settings for name, sent in answer.items() if (settings := _settings(sent))}


def _settings(sent: Json) -> CollectorSettings | None:
    try:
        wire = load(_WireSettings, sent)
    except Malformed:
        return None
    settings = CollectorSettings(wire.active)
    if wire.interval > 0:
        settings = evolve(settings, interval_seconds=wire.interval / MICROSECONDS)
    return settings


def _get(template: str, answer: str) -> Route:
    return Route(method="GET", template=template, answer=answer)


ROUTES: Final = RouteTable(
    (
        _get("/", "the versions of the interface: `[1]`"),
        _get("/1", "null"),
        _get("/1/list/collectors", "[[name, category or `default`, kind]] of active collectors"),
        _get("/1/report/all", "[report] of all active collectors"),
        _get("/1/report/{category}/{collector}", "one report"),
        _get("/metrics", "everything in the OpenMetrics text form"),
    )
)


def markdown() -> str:
    """Return the reference table that lives in ``doc/design/``."""
    rows = [(each.method, f"`{each.template}`", each.answer) for each in ROUTES.routes]
    return markdown_table(("method", "path", "answer"), rows)
