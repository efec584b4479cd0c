"""The QMP commands that Gantry uses, typed; their replies are parsed here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, cast, get_args

from attrs import frozen

from gantry.drivers.hypervisor.qmp import Qmp, QmpGone
from gantry.protocols.codec import Json

RunState = Literal[
    "colo",
    "debug",
    "finish-migrate",
    "guest-panicked",
    "inmigrate",
    "internal-error",
    "io-error",
    "paused",
    "postmigrate",
    "prelaunch",
    "restore-vm",
    "running",
    "save-vm",
    "shutdown",
    "suspended",
    "watchdog",
]
"""QEMU's ``RunState``."""

MIGRATION_ENDS: Final = frozenset({"completed", "failed", "cancelled"})
"""The words of QEMU's ``MigrationStatus`` after which nothing more happens."""


@frozen
class MigrationInfo:
    """What ``query-migrate`` says; zero and empty where QEMU says nothing."""

    status: str
    """QEMU's ``MigrationStatus``; ``none`` if there was no migration."""
    total_ms: int
    downtime_ms: int
    transferred_bytes: int
    remaining_bytes: int
    total_bytes: int
    problem: str

    @property
    def under_way(self) -> bool:
        """Whether a migration has begun and not ended."""
        return self.status not in MIGRATION_ENDS | {"none"}


def _fields(reply: Json, command: str) -> dict[str, Json]:
    if not isinstance(reply, dict):
        raise QmpGone(f"{command}: the reply is not an object")
    return cast("dict[str, Json]", reply)


def _integer(fields: dict[str, Json], name: str) -> int:
    value = fields.get(name, 0)
    return int(value) if isinstance(value, int | float) else 0


def _text(fields: dict[str, Json], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else ""


async def query_status(qmp: Qmp, *, deadline_seconds: float = 10.0) -> RunState:
    """Return the machine's run state."""
    reply = await qmp.execute("query-status", deadline_seconds=deadline_seconds)
    status = _text(_fields(reply, "query-status"), "status")
    if status not in get_args(RunState):
        raise QmpGone(f"query-status: unknown run state {status!r}")
    return cast(RunState, status)


async def query_uuid(qmp: Qmp) -> str:
    """Return the machine's UUID: whose machine this is."""
    return _text(_fields(await qmp.execute("query-uuid"), "query-uuid"), "UUID")


async def query_kvm(qmp: Qmp) -> bool:
    """Return whether the processor runs the guest itself; else QEMU emulates one (TCG)."""
    return _fields(await qmp.execute("query-kvm"), "query-kvm").get("enabled") is True


async def query_migrate(qmp: Qmp) -> MigrationInfo:
    """Return how the outgoing migration stands."""
    fields = _fields(await qmp.execute("query-migrate"), "query-migrate")
    ram = _fields(fields.get("ram", {}), "query-migrate")
    return MigrationInfo(
        status=_text(fields, "status") or "none",
        total_ms=_integer(fields, "total-time"),
        downtime_ms=_integer(fields, "downtime"),
        transferred_bytes=_integer(ram, "transferred"),
        remaining_bytes=_integer(ram, "remaining"),
        total_bytes=_integer(ram, "total"),
        problem=_text(fields, "error-desc"),
    )


async def set_migration_capabilities(qmp: Qmp, names: Sequence[str]) -> None:
    """Turn on capabilities; both ends of a migration need the same."""
    wanted = [{"capability": name, "state": True} for name in names]
    await qmp.execute("migrate-set-capabilities", {"capabilities": wanted})


async def set_migration_limits(qmp: Qmp, bytes_per_second: int, downtime_ms: int) -> None:
    """Bound a migration's bandwidth and aim at a downtime."""
    limits = {"max-bandwidth": bytes_per_second, "downtime-limit": downtime_ms}
    await qmp.execute("migrate-set-parameters", limits)


async def migrate(qmp: Qmp, uri: str) -> None:
    """Begin to send the machine; progress comes as ``MIGRATION`` events."""
    await qmp.execute("migrate", {"uri": uri})


async def migrate_incoming(qmp: Qmp, uri: str) -> None:
    """Listen for an incoming migration; refused if the address is taken."""
    await qmp.execute("migrate-incoming", {"uri": uri})


async def migrate_cancel(qmp: Qmp) -> None:
    """Break off the outgoing migration; no error if there is none."""
    await qmp.execute("migrate_cancel")


async def stop(qmp: Qmp) -> None:
    """Pause the machine."""
    await qmp.execute("stop")


async def cont(qmp: Qmp) -> None:
    """Let the machine run (on)."""
    await qmp.execute("cont")


async def system_reset(qmp: Qmp) -> None:
    """Press the reset button."""
    await qmp.execute("system_reset")


async def system_powerdown(qmp: Qmp) -> None:
    """Press the ACPI power button; the guest may take its time, or not care."""
    await qmp.execute("system_powerdown")


async def quit_qemu(qmp: Qmp) -> None:
    """End the process at once."""
    await qmp.execute("quit")
