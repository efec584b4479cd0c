"""The harness of all daemons: command line, logs, signals, readiness, watchdog, orderly stop.

A daemon is ``async def main(env: Environment) -> None``. It says ``READY=1`` through
``env.readiness`` when it serves. It is stopped by cancellation; what it still wants to do then
happens in ``finally`` blocks under a short shield.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, NoReturn

import trio
from attrs import frozen

from gantry.protocols.errors import GantryError
from gantry.runtime import logs
from gantry.runtime.descriptors import raise_limit
from gantry.runtime.environment import Environment, Options, Readiness
from gantry.runtime.files import remove_unfinished
from gantry.runtime.paths import SocketPathTooLong
from gantry.runtime.real import real_environment
from gantry.runtime.stall import StallWatch

Main = Callable[[Environment], Awaitable[None]]

EXIT_FAILURE: Final = 1
EXIT_NOT_CLUSTER: Final = 5
EXIT_NOT_MASTER: Final = 11

STOP_SECONDS_MAX: Final = 20.0
"""An orderly stop that takes longer is ended: below systemd's own 90 s, above any drain."""

LOG: Final = logs.Log("daemon")


class StartRefused(GantryError):
    """The daemon can not run here; the text says why and what to do, the status is Ganeti's."""

    def __init__(self, text: str, status: int = EXIT_FAILURE) -> None:
        super().__init__(text)
        self.status = status


@frozen
class Daemon:
    """What tells one daemon from another."""

    program: str
    """For example ``gantry-noded``."""
    log_base: str
    """Ganeti's name of its log file, without the ending."""
    main: Main


def run(daemon: Daemon, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a daemon to its end and leave the process with its exit status."""
    options = _options(daemon, sys.argv[1:] if argv is None else argv)
    env = real_environment(options=options)
    logs.set_up(env.paths.logs / f"{daemon.log_base}.log", debug=options.debug)
    try:
        with _PidFile(env.paths.run / f"{daemon.program}.pid"):
            env.paths.sockets.mkdir(parents=True, exist_ok=True, mode=0o750)
            for folder in (env.paths.data, env.paths.run):
                remove_unfinished(folder)
            trio.run(_supervise, daemon, env, instruments=[StallWatch()])
    except (StartRefused, SocketPathTooLong) as refusal:
        _refuse(daemon, refusal)
    except BaseExceptionGroup as group:
        refusals, rest = group.split(StartRefused)
        if rest is not None or refusals is None:
            LOG.exception("died", program=daemon.program)
            sys.exit(EXIT_FAILURE)
        _refuse(daemon, _first(refusals))
    sys.exit(0)


def _first(group: BaseExceptionGroup[StartRefused]) -> StartRefused:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf if isinstance(leaf, StartRefused) else StartRefused(str(leaf))


def _refuse(daemon: Daemon, refusal: GantryError | SocketPathTooLong) -> NoReturn:
    LOG.error("start refused", program=daemon.program, reason=str(refusal))
    print(f"{daemon.program}: {refusal}", file=sys.stderr)  # noqa: T201 - the start's own answer
    sys.exit(refusal.status if isinstance(refusal, StartRefused) else EXIT_FAILURE)


def _options(daemon: Daemon, argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog=daemon.program)
    parser.add_argument("-b", "--bind", metavar="ADDRESS", help="instead of the node's address")
    parser.add_argument("-p", "--port", type=int, help="instead of the default port")
    parser.add_argument("-d", "--debug", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('gantry')}")
    given = parser.parse_args(argv)
    return Options(given.bind, given.port, given.debug, raise_limit())


class _PidFile:
    """Holds a lock for life, so that a daemon runs once per node."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise StartRefused(f"already running: {self._path} is locked") from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


async def _supervise(daemon: Daemon, env: Environment) -> None:
    """Run ``main`` until it ends or a signal says stop."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_on_signal, nursery.cancel_scope, env.readiness)
        nursery.start_soon(_feed_watchdog, env)
        LOG.info("starting", program=daemon.program, node=env.node, root=str(env.paths.root))
        await daemon.main(env)
        nursery.cancel_scope.cancel()
    LOG.info("stopped", program=daemon.program)


async def _stop_on_signal(scope: trio.CancelScope, readiness: Readiness) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as arriving:
        async for number in arriving:
            LOG.info("stopping", signal=signal.Signals(number).name)
            readiness.notify("STOPPING=1")
            scope.cancel()
            trio.lowlevel.spawn_system_task(_end_late)
            return


async def _end_late() -> None:
    await trio.sleep(STOP_SECONDS_MAX)
    LOG.error("did not stop in time", seconds=STOP_SECONDS_MAX)
    os._exit(EXIT_FAILURE)


async def _feed_watchdog(env: Environment) -> None:
    """Tell systemd that the event loop turns, at half the interval that it asks for."""
    microseconds = int(env.variables.get("WATCHDOG_USEC") or 0)
    while microseconds:
        env.readiness.notify("WATCHDOG=1")
        await trio.sleep(microseconds / 2_000_000)
