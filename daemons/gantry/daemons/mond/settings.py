"""Which collectors the cluster wants, and how often, asked of RConfD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio
from attrs import define, field

from gantry.protocols.mond import CollectorSettings, parse_settings
from gantry.protocols.rconfd import RequestType, Status
from gantry.runtime.confd_client import NoAnswer, ask_cluster
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log

LOG: Final = Log("mond")

REFRESH_SECONDS: Final = 15.0
"""Ganeti's: so long it takes at most until a change of the settings counts."""


@define
class Settings:
    """The settings that were heard last; until then every collector runs, at the default interval.

    A cluster that does not answer changes nothing.
    """

    _env: Environment
    _known: Mapping[str, CollectorSettings] = field(factory=dict, init=False)
    _problem: str = field(default="", init=False)

    def of(self, collector: str) -> CollectorSettings:
        """Return the settings of a collector; one that the cluster has not heard of is active."""
        return self._known.get(collector) or CollectorSettings()

    async def follow(self) -> None:
        """Ask again and again until cancelled."""
        while True:
            await self.refresh()
            await trio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Ask once."""
        problem = ""
        try:
            answer = await ask_cluster(self._env, RequestType.DATA_COLLECTORS)
            if answer.reply.status is Status.OK:
                self._known = parse_settings(answer.reply.answer)
            else:
                problem = f"error {answer.reply.answer}"
        except (NoAnswer, OSError) as error:
            problem = str(error)
        if problem and problem != self._problem:
            LOG.info("no settings of collectors from RConfD", reason=problem)
        self._problem = problem
