"""The supervisor: one process that keeps a development cluster's daemons running.

Started by ``gantry devcluster up`` in a session of its own. It holds the cluster's lock on its
network by the descriptor that it inherits, and listens on the control socket.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import define, field
from typing_extensions import override

from gantry.cli.devcluster.control import (
    SUPERVISOR,
    NoSuchProcess,
    ProcessStatus,
    StartFailed,
    Supervisor,
)
from gantry.cli.devcluster.entering import entered
from gantry.cli.devcluster.layout import DevNode, Layout, existing, programs_folder
from gantry.cli.devcluster.supervised import Command, Supervised
from gantry.runtime import logs
from gantry.runtime.network import RealNetwork
from gantry.runtime.rpc import serve

LOG: Final = logs.Log("devcluster")


@define
class RunningSupervisor(Supervisor):
    """The supervisor's service."""

    _layout: Layout
    _nursery: trio.Nursery
    _done: trio.Event = field(factory=trio.Event)
    _daemons: dict[tuple[str, str], Supervised] = field(factory=dict)

    async def done(self) -> None:
        """Wait until somebody has asked for the end."""
        await self._done.wait()

    @override
    async def start(self, node: str, programs: tuple[str, ...]) -> None:
        daemons = [self._daemon(self._layout.node(node), program) for program in programs]
        for daemon in daemons:  # all at once, as systemd does: they wait for each other
            daemon.launch(self._nursery)
        for daemon in daemons:
            try:
                await daemon.ready()
            except StartFailed:
                await daemon.stop()
                raise

    @override
    async def stop(self, node: str, programs: tuple[str, ...]) -> None:
        name = self._layout.node(node).name
        daemons = [self._known(name, program) for program in programs]
        async with trio.open_nursery() as nursery:
            for daemon in daemons:
                nursery.start_soon(daemon.stop)

    @override
    async def status(self) -> tuple[ProcessStatus, ...]:
        await trio.lowlevel.checkpoint()
        return tuple(daemon.status() for daemon in self._daemons.values())

    @override
    async def restarted(self, node: str, program: str, pid: int) -> int:
        daemon = self._known(self._layout.node(node).name, program)
        return await daemon.ready(other_than=pid)

    @override
    async def shut_down(self) -> None:
        await self.stop_all()
        self._done.set()

    async def stop_all(self) -> None:
        """Stop every daemon: masters' first, nodes in parallel."""
        first = {program for _, program in self._daemons} - {"gantry-noded"}
        for group in (first, {"gantry-noded"}):
            async with trio.open_nursery() as nursery:
                for (_, program), daemon in self._daemons.items():
                    if program in group:
                        nursery.start_soon(daemon.stop)

    def _known(self, node: str, program: str) -> Supervised:
        try:
            return self._daemons[node, program]
        except KeyError:
            raise NoSuchProcess(node, program) from None

    def _daemon(self, node: DevNode, program: str) -> Supervised:
        key = (node.name, program)
        if key not in self._daemons:
            self._daemons[key] = Supervised(self._command(node, program))
        return self._daemons[key]

    def _command(self, node: DevNode, program: str) -> Command:
        path = programs_folder() / program
        if program not in self._layout.programs(node) and not path.exists():
            raise NoSuchProcess(node.name, program)
        return Command(
            node=node.name,
            program=program,
            argv=entered(self._layout, node, [str(path)]),
            variables=self._layout.variables(node, os.environ),
            log=self._layout.folder / "logs" / f"{node.short_name}-{program}.log",
            notify=self._layout.run_folder / f"notify-{node.short_name}-{program}",
        )


async def _stop_on_signal(supervisor: RunningSupervisor) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as arriving:
        async for _ in arriving:
            await supervisor.shut_down()
            return


async def run(layout: Layout, ready_fd: int) -> None:
    """Supervise until asked to end; then every daemon has ended."""
    network = RealNetwork(Path("/etc/hosts"), "")
    listener = await network.listen_unix(layout.control_socket, 0o600)
    try:
        async with trio.open_nursery() as daemons, trio.open_nursery() as nursery:
            supervisor = RunningSupervisor(layout, daemons)
            nursery.start_soon(_stop_on_signal, supervisor)
            nursery.start_soon(serve, SUPERVISOR, supervisor, listener)
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)
            await supervisor.done()
            nursery.cancel_scope.cancel()
            daemons.cancel_scope.cancel()
    finally:
        layout.control_socket.unlink(missing_ok=True)


def main(argv: Sequence[str]) -> int:
    """Run the supervisor: ``FOLDER READY_FD``."""
    folder, ready_fd = argv
    layout = existing(Path(folder))
    logs.set_up(layout.folder / "logs" / "supervisor.log", debug=False)
    try:
        trio.run(run, layout, int(ready_fd))
    except BaseException:
        LOG.exception("died")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
