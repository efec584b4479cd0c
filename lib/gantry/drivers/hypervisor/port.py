"""The hypervisor port: what NodeD asks of every hypervisor, and what it may rely on.

Every method is idempotent, so that a call whose answer was lost can be made again, and safe to
cancel. The truth is what runs on the machine and the files below the node's root; a driver keeps
nothing in memory that a restarted NodeD would miss. Methods raise the errors of
:mod:`gantry.protocols.runtime_types`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gantry.protocols.noded import RebootKind
from gantry.protocols.runtime_types import (
    ConsoleAccess,
    HypervisorName,
    HypervisorProbe,
    InstanceRuntime,
    InstanceSpec,
    MigrationProgress,
    MigrationReport,
    MigrationSource,
    MigrationTarget,
    StopOutcome,
)

OnProgress = Callable[[MigrationProgress], None]


def no_progress(progress: MigrationProgress) -> None:
    """Ignore the progress of a migration."""


class Hypervisor(Protocol):
    """One kind of hypervisor on one node."""

    @property
    def name(self) -> HypervisorName:
        """The hypervisor's name in the configuration."""

    async def probe(self) -> HypervisorProbe:
        """Say what the machine offers and what it lacks; never raises for what is missing."""

    async def list(self) -> tuple[InstanceRuntime, ...]:
        """Return the instances that have a process or a record here, sorted by name."""

    async def find(self, name: str) -> InstanceRuntime | None:
        """Return one instance as it is now, or ``None`` if there is nothing of it here."""

    async def start(self, spec: InstanceSpec, *, paused: bool = False) -> InstanceRuntime:
        """Start an instance and return it; one that runs already is left alone.

        Raises:
            MachineLacks: the hypervisor is not usable here.
            DriverFailed: the instance did not start; nothing of it is left.
        """

    async def stop(self, name: str, *, timeout_seconds: float, force: bool = False) -> StopOutcome:
        """Stop an instance: ask the guest to power off, and end it when the time is up.

        Afterwards nothing of it is left on the node.

        Args:
            name: the instance's name.
            timeout_seconds: how long the guest may take.
            force: end it at once, without asking the guest.
        """

    async def reboot(
        self, spec: InstanceSpec, *, how: RebootKind, timeout_seconds: float
    ) -> InstanceRuntime:
        """Reboot an instance.

        Soft presses its reset button. Hard (and full, which differs in what the caller does with
        the disks) stops it as :meth:`stop` does and starts it again, with the parameters of
        ``spec``.

        Raises:
            NotRunning: there is nothing to reboot (soft only; hard and full then just start it).
        """

    async def migration_source(self, name: str) -> MigrationSource:
        """Describe a running instance to the node that is to accept it.

        Raises:
            NotRunning: it does not run here.
        """

    async def accept(
        self, spec: InstanceSpec, source: MigrationSource | None = None
    ) -> MigrationTarget:
        """Prepare to receive an instance; prepared already, the same target is returned.

        Args:
            spec: the instance.
            source: what :meth:`migration_source` said at the other node; without it, the target
                is made as an instance that is started here.

        Raises:
            MachineLacks: the hypervisor is not usable here.
            DriverFailed: it runs here already, or can not be received; nothing of it is left.
        """

    async def migrate(
        self,
        spec: InstanceSpec,
        target: MigrationTarget,
        *,
        live: bool,
        progress: OnProgress = no_progress,
    ) -> MigrationReport:
        """Send a running instance away; called again, it goes on watching the same migration.

        Unless the report says ``completed``, the instance goes on here. Cancellation breaks the
        migration off. Not live, or not able to, the guest stands still from the beginning to the
        end.

        Raises:
            NotRunning: there is nothing to send.
        """

    async def finish_source(self, spec: InstanceSpec, *, success: bool) -> None:
        """End the source's side: the sent instance's process goes, or the instance goes on."""

    async def finish_target(self, spec: InstanceSpec, *, success: bool) -> None:
        """End the target's side: the instance runs here, or everything of it goes.

        Raises:
            NotRunning: it should run here, and does not.
        """

    async def console(self, name: str) -> ConsoleAccess:
        """Say how the console of an instance is reached."""

    async def cleanup(self, name: str) -> None:
        """Remove what an instance that no longer runs has left; one that runs is left alone."""
