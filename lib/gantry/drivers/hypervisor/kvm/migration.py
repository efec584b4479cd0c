"""Send a machine to another node: the source's side, over its monitor."""

from __future__ import annotations

from typing import Final

import trio
from attrs import frozen

from gantry.drivers.hypervisor.kvm import monitor
from gantry.drivers.hypervisor.kvm.monitor import MIGRATION_ENDS, MigrationInfo
from gantry.drivers.hypervisor.port import OnProgress
from gantry.drivers.hypervisor.qmp import Event, Qmp, QmpGone
from gantry.protocols.parameters.kvm import KvmParameters
from gantry.protocols.runtime_types import MigrationProgress, MigrationReport

PROGRESS_SECONDS: Final = 0.5
"""Between two reports of progress; QEMU has no event for it."""

UNLIMITED_MIB_PER_SECOND: Final = 1024 * 1024

BASIC_CAPABILITIES: Final = ("events", "auto-converge")
"""Report by events; slow down a guest that dirties memory faster than it is sent."""


def capabilities(parameters: KvmParameters) -> tuple[str, ...]:
    """Return the capabilities that both ends of a migration turn on."""
    extra = tuple(name for name in parameters.migration_caps.split(":") if name)
    return (*BASIC_CAPABILITIES, *(name for name in extra if name not in BASIC_CAPABILITIES))


@frozen
class Sending:
    """One outgoing migration."""

    qmp: Qmp
    parameters: KvmParameters
    progress: OnProgress

    async def run(self, uri: str, *, live: bool) -> MigrationReport:
        """Send the machine, or go on watching the sending that is under way.

        An emulated guest stands still meanwhile, whatever is wished: what QEMU's translated code
        writes while its memory is sent may be missed, and the guest would arrive damaged. (QEMU
        clears a page's dirty mark after a write has looked at it, and before it has written.)
        """
        began = trio.current_time()
        live = live and await monitor.query_kvm(self.qmp)
        async with self.qmp.events() as events:
            info = await monitor.query_migrate(self.qmp)
            state = await monitor.query_status(self.qmp)
            if state == "postmigrate" and info.status == "completed":
                return _report(info, info.downtime_ms)
            was_running = state in ("running", "finish-migrate")
            if not info.under_way:
                await self._begin(uri, live=live)
            info = await self._watch(events)
            if info.status != "completed" and was_running:
                await monitor.cont(self.qmp)
        stood_still = round((trio.current_time() - began) * 1000)
        return _report(info, info.downtime_ms if live else stood_still)

    async def _begin(self, uri: str, *, live: bool) -> None:
        p = self.parameters
        await monitor.set_migration_capabilities(self.qmp, capabilities(p))
        bandwidth = p.migration_bandwidth or UNLIMITED_MIB_PER_SECOND
        await monitor.set_migration_limits(self.qmp, bandwidth * 1024 * 1024, p.migration_downtime)
        if not live:
            await monitor.stop(self.qmp)
        await monitor.migrate(self.qmp, uri)

    async def _watch(self, events: trio.MemoryReceiveChannel[Event]) -> MigrationInfo:
        while True:
            with trio.move_on_after(PROGRESS_SECONDS):
                await _migration_ended(events)
            info = await monitor.query_migrate(self.qmp)
            if info.status in MIGRATION_ENDS:
                return info
            sent, left = info.transferred_bytes, info.remaining_bytes
            self.progress(MigrationProgress(info.status, sent, left, info.total_bytes))


async def break_off(qmp: Qmp, *, cont: bool) -> None:
    """End an outgoing migration that is under way; the machine stays, and runs on if asked to."""
    async with qmp.events() as events:
        await monitor.migrate_cancel(qmp)
        while (await monitor.query_migrate(qmp)).under_way:
            with trio.move_on_after(PROGRESS_SECONDS):
                await _migration_ended(events)
        if cont and await monitor.query_status(qmp) != "postmigrate":
            await monitor.cont(qmp)


async def _migration_ended(events: trio.MemoryReceiveChannel[Event]) -> None:
    """Wait for the event that says so.

    Raises:
        QmpGone: the process ended first.
    """
    async for event in events:
        status = event.data.get("status")
        if event.name == "MIGRATION" and isinstance(status, str) and status in MIGRATION_ENDS:
            return
    raise QmpGone("QEMU ended during the migration")


def _report(info: MigrationInfo, downtime_ms: int) -> MigrationReport:
    sent = info.transferred_bytes
    match info.status:
        case "completed" | "cancelled" as status:
            return MigrationReport(status, info.total_ms, downtime_ms, sent, info.problem)
        case _:
            problem = info.problem or "QEMU gives no reason"
            return MigrationReport("failed", info.total_ms, downtime_ms, sent, problem)
