"""The master daemons as systemd's units: started now, and at the machine's next start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field
from typing_extensions import override

from gantry.daemons.noded.master_services import TARGET, SystemdServices
from gantry.protocols.noded import StepFailed
from gantry.runtime.environment import Finished
from gantry.runtime.testing.environment import NoProcesses, memory_environment
from gantry.runtime.testing.files import MemoryFiles


@define
class Systemd(NoProcesses):
    """A machine whose systemctl notes what it is asked for."""

    status: int = 0
    asked: list[list[str]] = field(factory=list)

    @override
    async def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        input_bytes: bytes = b"",
        deadline_seconds: float,
    ) -> Finished:
        await trio.lowlevel.checkpoint()
        self.asked.append([*argv])
        return Finished(self.status, b"unit not found")


async def test_a_master_leads_after_its_machine_was_started_again_and_no_other_does() -> None:
    systemd = Systemd()
    services = SystemdServices(
        evolve(memory_environment("node1", MemoryFiles()), processes=systemd)
    )
    await services.start()
    await services.stop()
    assert systemd.asked == [
        ["systemctl", "enable", "--now", TARGET],
        ["systemctl", "disable", "--now", TARGET],
    ]


async def test_what_systemd_refuses_is_told() -> None:
    services = SystemdServices(
        evolve(memory_environment("node1", MemoryFiles()), processes=Systemd(status=5))
    )
    with pytest.raises(StepFailed, match=r"systemctl enable .* failed: unit not found"):
        await services.start()
