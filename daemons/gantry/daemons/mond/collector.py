"""What a collector is to the daemon, and how it is run without hurting the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

import trio
from attrs import define, field

from gantry.protocols.codec import Json
from gantry.protocols.mond import (
    BUILT_IN,
    STATUS,
    UNKNOWN,
    CollectorInfo,
    CollectorSettings,
    Report,
)
from gantry.runtime.environment import Clock
from gantry.runtime.logs import Log

LOG: Final = Log("mond")

SAMPLE_SECONDS_MAX: Final = 10.0
"""A collector that takes longer has failed this time."""

INTERVAL_SECONDS_MIN: Final = 0.1
"""However small the configured interval is."""


LOOK_SECONDS: Final = 1.0
"""How often new settings are looked at while a long interval runs."""


class Collector(Protocol):
    """Something that measures. What it raises is its own failure and nobody else's."""

    @property
    def info(self) -> CollectorInfo:
        """Its name and place."""

    async def sample(self) -> None:
        """Take a sample; called at the configured interval while the collector is active."""

    async def data(self) -> Json:
        """Return what it found, for a report."""


class CollectorFailed(Exception):
    """A collector could not say anything; the text says why."""


@define
class Running:
    """A collector at work."""

    collector: Collector
    clock: Clock
    settings: Callable[[], CollectorSettings]
    """As the cluster wants them now."""
    problem: str = field(default="", init=False)
    """Why its last sample or report failed."""

    @property
    def info(self) -> CollectorInfo:
        """The collector's name and place."""
        return self.collector.info

    @property
    def active(self) -> bool:
        """Whether the cluster wants it."""
        return self.settings().active

    async def run(self) -> None:
        """Take samples until cancelled."""
        sampled_at = -math.inf
        while True:
            settings, now = self.settings(), trio.current_time()
            interval = max(settings.interval_seconds, INTERVAL_SECONDS_MIN)
            if settings.active and now >= sampled_at + interval:
                await self._sample()
                sampled_at = now
            await trio.sleep(min(interval, LOOK_SECONDS))

    async def _sample(self) -> None:
        try:
            with trio.fail_after(SAMPLE_SECONDS_MAX):
                await self.collector.sample()
        except Exception as error:  # noqa: BLE001 - its failure is told, and the others go on
            self._note(error)
        else:
            self.problem = ""

    def _note(self, error: Exception) -> str:
        text = str(error) or type(error).__name__
        if text != self.problem:
            LOG.warning("collector failed", collector=self.info.name, reason=text)
        self.problem = text
        return text

    async def report(self) -> Report:
        """Return its report.

        Raises:
            CollectorFailed: it could not make one.
        """
        try:
            with trio.fail_after(SAMPLE_SECONDS_MAX):
                data = await self.collector.data()
        except Exception as error:  # whatever it is, it becomes one kind of failure
            raise CollectorFailed(self._note(error)) from error
        return self._report(data)

    async def report_or_problem(self) -> Report:
        """Return its report, or one that says why there is none."""
        try:
            return await self.report()
        except CollectorFailed as failure:
            text = str(failure)
        if self.info.kind == STATUS:
            return self._report({"status": {"code": UNKNOWN, "message": text}})
        return self._report({"error": text})

    def _report(self, data: Json) -> Report:
        info, now = self.info, int(self.clock.now() * 1e6) * 1000
        return Report(info.name, BUILT_IN, info.format_version, now, info.category, info.kind, data)
