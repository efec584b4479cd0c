"""Development clusters for tests: real daemons of several nodes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import trio
from attrs import frozen

from gantry.cli.devcluster import layout as layouts
from gantry.cli.devcluster.bringing_up import command_on
from gantry.cli.devcluster.control import ProcessStatus, Supervisor, supervisor_of
from gantry.cli.devcluster.layout import DevNode, Layout

T = TypeVar("T")

UP_SECONDS_MAX = 300
COMMAND_SECONDS_MAX = 120
WAIT_SECONDS_MAX = 60
ADDRESSES_SECONDS_MAX = 240


class CommandFailed(AssertionError):
    """A command ended with another status than expected; the text has all it said."""


@frozen
class DevCluster:
    """A running development cluster."""

    folder: Path

    @property
    def layout(self) -> Layout:
        """Its nodes and paths."""
        return layouts.existing(self.folder)

    @property
    def master(self) -> DevNode:
        """The master node."""
        return self.layout.master

    # --- commands ----------------------------------------------------------------------------

    def execute(
        self, *argv: str, node: str = "node1", standard_input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a node, as a user would, and return how it ended."""
        layout = self.layout
        where = layout.node(node)
        return subprocess.run(
            command_on(layout, where, argv),
            env=layout.variables(where, {**os.environ, "NO_COLOR": "1"}),
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def run(self, *argv: str, node: str = "node1", status: int = 0) -> str:
        """Run a command on a node and return its standard output.

        Raises:
            CommandFailed: it did not end with ``status``.
        """
        ended = self.execute(*argv, node=node)
        if ended.returncode != status:
            raise CommandFailed(
                f"{' '.join(argv)} on {node} ended with {ended.returncode}, not {status}\n"
                f"standard output:\n{ended.stdout}\nstandard error:\n{ended.stderr}"
            )
        return ended.stdout

    # --- daemons -----------------------------------------------------------------------------

    def pid(self, program: str, node: str = "node1") -> int:
        """Return a daemon's process id."""
        name = self.layout.node(node).name
        for status in self.status():
            if (status.node, status.program) == (name, program) and status.pid is not None:
                return status.pid
        raise LookupError(f"{program} does not run on {name}")

    def status(self) -> tuple[ProcessStatus, ...]:
        """Return the state of every daemon."""

        async def ask(supervisor: Supervisor) -> tuple[ProcessStatus, ...]:
            return await supervisor.status()

        return asked(self.layout, ask)

    def kill(self, program: str, node: str = "node1", number: int = 9) -> int:
        """Kill a daemon, wait until the next one is ready, and return its process id."""
        pid = self.pid(program, node)
        os.kill(pid, number)

        async def ask(supervisor: Supervisor) -> int:
            return await supervisor.restarted(node, program, pid)

        return asked(self.layout, ask)

    def knows_what_counts(self, node: str) -> bool:
        """Whether a candidate has heard that its last change counts: of the voters, for example.

        Until then it is not promoted without those who voted before; it is told within a second.
        """
        data = self.layout.node(node).root / "var/lib/ganeti"
        if not (data / "config.log").exists() or not (data / "config.committed").exists():
            return not (data / "config.log").exists()
        *_, last, _ = (data / "config.log").read_text().split("\n")
        mark = (data / "config.committed").read_text().split()
        end = last.split(" ", 4)
        return end[0] == "gantry-log" or mark[-1:] == end[3:4]

    def kill_all(self, node: str) -> None:
        """Kill every daemon of a node, and keep them from being started again."""
        name = self.layout.node(node).name
        for status in self.status():
            if status.node == name and status.pid is not None:
                os.kill(status.pid, signal.SIGKILL)

        async def ask(supervisor: Supervisor) -> None:
            known = [each.program for each in await supervisor.status() if each.node == name]
            await supervisor.stop(name, tuple(known))

        asked(self.layout, ask)

    def stop(self, program: str, node: str = "node1") -> None:
        """Stop a daemon; it stays down until :meth:`start`."""

        async def ask(supervisor: Supervisor) -> None:
            await supervisor.stop(self.layout.node(node).name, (program,))

        asked(self.layout, ask)

    def start(self, program: str, node: str = "node1") -> None:
        """Start a daemon and wait until it is ready."""

        async def ask(supervisor: Supervisor) -> None:
            await supervisor.start(self.layout.node(node).name, (program,))

        asked(self.layout, ask)


def asked(layout: Layout, ask: Callable[[Supervisor], Awaitable[T]]) -> T:
    """Ask the supervisor something."""

    async def asking() -> T:
        with trio.fail_after(WAIT_SECONDS_MAX):
            async with supervisor_of(layout) as supervisor:
                return await ask(supervisor)

    return trio.run(asking)


def up(folder: Path, *options: str) -> DevCluster:
    """Start a cluster; a failure shows everything that was said and logged."""
    ended = _devcluster("up", "--dir", str(folder), "--keep", *options)
    if ended.returncode == 0:
        cluster, deadline = DevCluster(folder), time.monotonic() + WAIT_SECONDS_MAX
        while not all(cluster.knows_what_counts(node.name) for node in cluster.layout.nodes):
            assert time.monotonic() < deadline, "a candidate does not hear what counts"
            time.sleep(0.1)  # files of other processes have no event here
        return cluster
    logs = [f"--- {path.name}\n{path.read_text()[-3000:]}" for path in _logs(folder)]
    down(folder)
    raise CommandFailed(f"no cluster came up:\n{ended.stderr}\n" + "\n".join(logs))


def up_again(folder: Path, *options: str) -> None:
    """Start a cluster that is stopped, as soon as no other test's has its addresses."""
    deadline = time.monotonic() + ADDRESSES_SECONDS_MAX
    while True:
        ended = _devcluster("up", "--dir", str(folder), "--keep", *options)
        if ended.returncode == 0:
            return
        is_taken = "is held by another cluster" in ended.stderr
        if not is_taken or time.monotonic() > deadline:
            raise CommandFailed(ended.stderr)
        time.sleep(1.0)  # the other cluster is another process's


def down(folder: Path) -> None:
    """Take a cluster down."""
    ended = _devcluster("down", "--dir", str(folder))
    if ended.returncode != 0:
        raise CommandFailed(f"the cluster did not go down:\n{ended.stderr}")


def _logs(folder: Path) -> list[Path]:
    return sorted((*folder.glob("logs/*"), *folder.glob("node*/var/log/ganeti/*.log")))


def _devcluster(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "gantry"), "devcluster", *argv],
        capture_output=True,
        text=True,
        timeout=UP_SECONDS_MAX,
        check=False,
    )
