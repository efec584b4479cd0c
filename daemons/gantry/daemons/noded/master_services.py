"""Starting and stopping the master daemons of a node: systemd's, or a development cluster's."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from attrs import frozen
from typing_extensions import override

from gantry.cli.devcluster.control import Supervisor, supervisor_of
from gantry.cli.devcluster.layout import MASTER, DevClusterError, existing
from gantry.protocols.errors import ServiceError
from gantry.protocols.noded import StepFailed
from gantry.runtime.environment import Environment
from gantry.runtime.installation import DEVELOPMENT, SYSTEMD
from gantry.runtime.stopping import stop_daemon

TARGET: Final = "gantry-master.target"
SYSTEMCTL_SECONDS_MAX: Final = 60.0


class MasterServices(Protocol):
    """The service manager of a node, as far as the master daemons are concerned."""

    async def start(self) -> None:
        """Start them; returns when they are ready.

        Raises:
            StepFailed: one did not start.
        """

    async def stop(self) -> None:
        """Stop them; returns when they have ended. It is no error if none ran.

        Raises:
            StepFailed: one did not end.
        """


@frozen
class SystemdServices(MasterServices):
    """The units of a system install; who leads now leads after the machine's next start, too."""

    _env: Environment

    @override
    async def start(self) -> None:
        await self._systemctl("enable")

    @override
    async def stop(self) -> None:
        await self._systemctl("disable")

    async def _systemctl(self, verb: str) -> None:
        ended = await self._env.processes.run(
            ["systemctl", verb, "--now", TARGET], deadline_seconds=SYSTEMCTL_SECONDS_MAX
        )
        if ended.status != 0:
            said = ended.output.decode(errors="replace").strip()
            raise StepFailed(f"systemctl {verb} {TARGET} failed: {said}; see journalctl")


@frozen
class DevelopmentServices(MasterServices):
    """The supervisor of a development cluster."""

    _folder: Path
    _node: str

    @override
    async def start(self) -> None:
        try:
            async with supervisor_of(existing(self._folder)) as supervisor:
                await supervisor.start(self._node, MASTER)
        except (DevClusterError, ServiceError) as error:
            raise StepFailed(str(error)) from error

    @override
    async def stop(self) -> None:
        try:
            async with supervisor_of(existing(self._folder)) as supervisor:
                await supervisor.stop(self._node, await self._running(supervisor))
        except (DevClusterError, ServiceError) as error:
            raise StepFailed(str(error)) from error

    async def _running(self, supervisor: Supervisor) -> tuple[str, ...]:
        known = {(each.node, each.program) for each in await supervisor.status()}
        return tuple(program for program in MASTER if (self._node, program) in known)


@frozen
class LooseProcesses(MasterServices):
    """Daemons that somebody started by hand: they can be stopped, and nothing else."""

    _env: Environment

    @override
    async def start(self) -> None:
        names = ", ".join(MASTER)
        raise StepFailed(f"no service manager runs on {self._env.node}; start these: {names}")

    @override
    async def stop(self) -> None:
        for program in reversed(MASTER):
            try:
                await stop_daemon(self._env, program)
            except OSError as error:
                raise StepFailed(str(error)) from error


def master_services(env: Environment) -> MasterServices:
    """Return the service manager of this node."""
    folder = env.variables.get(DEVELOPMENT)
    if folder is not None:
        return DevelopmentServices(Path(folder), env.node)
    if SYSTEMD.exists() and env.paths.root == Path("/"):
        return SystemdServices(env)
    return LooseProcesses(env)
