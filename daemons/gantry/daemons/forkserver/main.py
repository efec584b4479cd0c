"""``gantry-forkserver``: makes the processes that jobs run in.

Unlike every other daemon it is no ``async def main(env)``: a process that forks may run neither
trio nor threads. So it reads its few needs from the variables and the command line itself.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, NoReturn

from gantry.daemons.forkserver.child import Output
from gantry.daemons.forkserver.gaps import fill_gaps
from gantry.daemons.forkserver.pages import collapse
from gantry.daemons.forkserver.preload import CannotPreload, preload
from gantry.daemons.forkserver.server import ForkServer, Heartbeat
from gantry.protocols.jobproc import FORK_SERVER_SOCKET
from gantry.runtime import logs
from gantry.runtime.paths import Paths, SocketPathTooLong
from gantry.runtime.real import NotifySocket

PROGRAM: Final = "gantry-forkserver"
JOB_MAIN: Final = "gantry.daemons.job.main:run"
OUTPUT_BYTES_MAX: Final = 10 * 1024 * 1024
"""The jobs' output file is moved aside beyond this size, so two of that size are the most."""

EXIT_FAILURE: Final = 1


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the fork server to its end and leave the process."""
    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("-d", "--debug", action="store_true", help="log more")
    parser.add_argument("--job-main", default=JOB_MAIN, metavar="MODULE:FUNCTION", help="run this")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('gantry')}")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    paths = Paths.of(os.environ)
    logs.set_up(paths.logs / "fork-server.log", debug=options.debug)
    try:
        serve(paths, options.job_main, NotifySocket(os.environ.get("NOTIFY_SOCKET")))
    except (CannotPreload, SocketPathTooLong, OSError) as error:
        logs.Log(PROGRAM).error("start refused", reason=str(error))
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201 - the start's own answer
        sys.exit(EXIT_FAILURE)
    sys.exit(0)


def serve(paths: Paths, job_main: str, readiness: NotifySocket) -> None:
    """Preload and serve until SIGTERM or SIGINT.

    Raises:
        CannotPreload: the jobs' code can not be loaded.
        OSError: the socket can not be bound.
    """
    run_job = preload(job_main)
    paths.sockets.mkdir(parents=True, exist_ok=True, mode=0o750)
    output = Output(Path(paths.logs / "job-processes.log"), OUTPUT_BYTES_MAX)
    filled = fill_gaps()
    collapse()
    server = ForkServer(run_job, paths.socket(FORK_SERVER_SOCKET), output)
    server.run(ready=lambda: readiness.notify("READY=1"), alive=_heartbeat(readiness))
    readiness.notify("STOPPING=1")
    del filled


def _heartbeat(readiness: NotifySocket) -> Heartbeat | None:
    """Feed systemd's watchdog at half the interval that it asks for (sd_watchdog_enabled(3))."""
    microseconds = int(os.environ.get("WATCHDOG_USEC") or 0)
    if not microseconds:
        return None
    return Heartbeat(microseconds / 2_000_000, lambda: readiness.notify("WATCHDOG=1"))


if __name__ == "__main__":
    main()
