"""``inst-status-kvm``: whether the node's instances do what is wanted of them.

The report has the form of Ganeti's ``inst-status-xen``; it covers the fake hypervisor too.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import trio
from attrs import define
from typing_extensions import override

from gantry.daemons.mond.collector import Collector
from gantry.daemons.mond.node_instances import Intended, NodeInstances, Unavailable
from gantry.protocols.codec import Json, Malformed, dump, from_bytes
from gantry.protocols.mond import (
    BAD,
    OK,
    STATUS,
    TEMPORARILY_BAD,
    UNKNOWN,
    CollectorInfo,
    CollectorStatus,
    worst,
)
from gantry.protocols.objects.vocabulary import AdminState
from gantry.protocols.runtime_types import InstanceRuntime, InstanceState
from gantry.runtime.environment import Environment

INFO: Final = CollectorInfo("inst-status-kvm", "instance", STATUS)

REASONS_FOLDER: Final = "instance-reason"
"""Below Ganeti's run directory: for each instance the reason trail of its last change of state."""

_SAFE_NAME: Final = re.compile(r"\w[\w.-]*")

_PASSING: Final = frozenset({"paused", "incoming", "migrated"})
"""States of an instance that is on its way somewhere."""

GONE: Final[InstanceState] = "shutdown"
"""What an instance is that no hypervisor knows."""


def status_of(wanted: AdminState | None, actual: InstanceState) -> CollectorStatus:
    """Compare what is wanted of an instance with what it does.

    Args:
        wanted: ``None``: the configuration has no such instance on this node, or is not known.
        actual: what its hypervisor says.
    """
    if actual in _PASSING:
        return CollectorStatus(TEMPORARILY_BAD, f"is {actual}")
    if wanted is None:
        return CollectorStatus(UNKNOWN, f"is {actual}, and it is not known what it should be")
    if (wanted == "up") == (actual == "running"):
        return CollectorStatus(OK)
    return CollectorStatus(BAD, f"is {actual} and should be {wanted}")


@define
class InstanceStatus(Collector):
    """Asks anew for each report."""

    _env: Environment
    _instances: NodeInstances

    @property
    @override
    def info(self) -> CollectorInfo:
        return INFO

    @override
    async def sample(self) -> None:
        await trio.lowlevel.checkpoint()

    @override
    async def data(self) -> Json:
        running = {each.name: each for each in await self._instances.running()}
        doubts: list[CollectorStatus] = []
        intended: dict[str, Intended] = {}
        try:
            intended = {each.name: each for each in await self._instances.intended()}
        except Unavailable as error:
            doubts.append(CollectorStatus(UNKNOWN, str(error)))
        names = sorted(running.keys() | intended.keys())
        told = [self._status(running.get(name), intended.get(name)) for name in names]
        overall = worst((*doubts, *(_named(n, s) for n, s in zip(names, told, strict=True))))
        rows = [
            await self._row(name, status, running.get(name), intended.get(name))
            for name, status in zip(names, told, strict=True)
        ]
        return {"status": dump(overall), "instances": rows}

    @staticmethod
    def _status(running: InstanceRuntime | None, intended: Intended | None) -> CollectorStatus:
        wanted = intended.admin_state if intended is not None else None
        return status_of(wanted, running.state if running is not None else GONE)

    async def _row(
        self,
        name: str,
        status: CollectorStatus,
        running: InstanceRuntime | None,
        intended: Intended | None,
    ) -> dict[str, Json]:
        known = running or intended
        row: dict[str, Json] = {
            "name": name,
            "uuid": known.uuid if known is not None else None,
            "adminState": intended.admin_state if intended is not None else None,
            "actualState": running.state if running is not None else GONE,
            "mtime": intended.mtime if intended is not None else None,
            "state_reason": await self._reason(name),
            "status": dump(status),
        }
        if running is not None and running.started_at is not None:
            seconds = max(0, int(self._env.clock.now() - running.started_at))
            row["uptime"] = str(timedelta(seconds=seconds))
        return row

    async def _reason(self, name: str) -> Json:
        if not _SAFE_NAME.fullmatch(name):
            return []
        try:
            return from_bytes(
                await self._env.files.read(self._env.paths.run / REASONS_FOLDER / name)
            )
        except (OSError, Malformed):
            return []


def _named(name: str, status: CollectorStatus) -> CollectorStatus:
    return CollectorStatus(status.code, f"{name} {status.message}" if status.message else "")
