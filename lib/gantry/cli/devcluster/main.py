"""``gantry devcluster``: a cluster of several nodes on this one machine."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import trio

from gantry.cli import exit_codes
from gantry.cli.devcluster.bringing_up import (
    bring_up,
    command_on,
    make_folders,
    prepare,
    start_supervisor,
)
from gantry.cli.devcluster.control import ProcessStatus, supervisor_of
from gantry.cli.devcluster.found import FoundProcess, processes_of, rss_kib
from gantry.cli.devcluster.layout import DevClusterError, Layout, existing, find
from gantry.cli.devcluster.namespaces import HOLDER_TITLE
from gantry.cli.devcluster.taking_down import take_down
from gantry.protocols.errors import ServiceError

NODES = 3


def default_folder() -> Path:
    """Return where a cluster is if ``--dir`` does not say it."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state) / "gantry/devcluster"


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--dir", type=Path, default=default_folder(), help="the cluster's folder (%(default)s)"
    )
    parser = argparse.ArgumentParser(prog="gantry devcluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", parents=[common], help="start a cluster")
    up.add_argument("--nodes", type=int, default=NODES, help="how many (%(default)s)")
    up.add_argument("--net", choices=("loopback", "netns"), default="loopback", help="netns: root")
    up.add_argument("--hypervisor", choices=("kvm", "fake"), default="kvm", help="(%(default)s)")
    up.add_argument("--keep", action="store_true", help="if it fails, leave what was started")
    down = commands.add_parser("down", parents=[common], help="stop it and remove its files")
    down.add_argument("--keep-files", action="store_true", help="only stop it")
    commands.add_parser("status", parents=[common], help="show every process")
    commands.add_parser("env", parents=[common], help="print exports for a shell")
    run = commands.add_parser("exec", parents=[common], help="run a command on a node")
    run.add_argument("node", help="such as node2")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD", help="program and arguments")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run a command line (without the program's and ``devcluster``'s names)."""
    given = _parser().parse_args(argv)
    commands = {"up": _up, "down": _down, "status": _status, "env": _env, "exec": _exec}
    try:
        given.dir = given.dir.absolute()
        return commands[given.command](given)
    except BaseExceptionGroup as group:
        told = [each for each in _leaves(group) if isinstance(each, DevClusterError)]
        if not told:
            raise
        print(f"gantry devcluster: {told[0]}", file=sys.stderr)
    except (DevClusterError, ServiceError, OSError) as error:
        print(f"gantry devcluster: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("gantry devcluster: interrupted", file=sys.stderr)
    return exit_codes.FAILURE


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Return the exceptions of a group, those in groups below it too: several nodes may fail."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def _say(text: str) -> None:
    print(f"* {text}", file=sys.stderr, flush=True)


def _up(given: argparse.Namespace) -> int:
    if processes_of(given.dir):
        raise DevClusterError(f"a cluster runs in {given.dir} already; see: status")
    prepared = prepare(given.dir, given.nodes, given.net, given.hypervisor)
    layout = prepared.layout
    try:
        make_folders(layout)
        start_supervisor(prepared)
        trio.run(bring_up, layout, _say)
    except BaseException:
        if not given.keep:
            _say("that did not work; everything is taken down again")
            take_down(layout)
        raise
    _say(f"{_nodes(len(layout.nodes))} up; to use them in this shell:")
    print(f'eval "$(gantry devcluster env --dir {shlex.quote(str(layout.folder))})"')
    return exit_codes.SUCCESS


def _nodes(count: int) -> str:
    return "1 node is" if count == 1 else f"{count} nodes are"


def _down(given: argparse.Namespace) -> int:
    layout = find(given.dir)
    if layout is None:
        _say(f"there is no cluster in {given.dir}: nothing to take down")
    else:
        take_down(layout, keep_files=given.keep_files)
    return exit_codes.SUCCESS


def _env(given: argparse.Namespace) -> int:
    layout = existing(given.dir)
    variables = layout.variables(layout.master, os.environ)
    for name in ("GANTRY_ROOT", "XDG_RUNTIME_DIR", "PATH"):
        print(f"export {name}={shlex.quote(variables[name])}")
    return exit_codes.SUCCESS


def _exec(given: argparse.Namespace) -> int:
    layout = existing(given.dir)
    node = layout.node(given.node)
    if not given.argv:
        raise DevClusterError("exec needs a command: gantry devcluster exec NODE CMD...")
    argv = command_on(layout, node, given.argv)
    os.execvpe(argv[0], argv, layout.variables(node, os.environ))


async def _supervised(layout: Layout) -> tuple[ProcessStatus, ...]:
    async with supervisor_of(layout) as supervisor:
        return await supervisor.status()


def _status(given: argparse.Namespace) -> int:
    layout = existing(given.dir)
    supervised = trio.run(partial(_supervised, layout))
    rows: list[tuple[str, ...]] = [("Node", "Process", "State", "PID", "Uptime", "Restarts", "RSS")]
    rows += [_daemon_row(status) for status in supervised]
    known = {status.pid for status in supervised}
    others = [found for found in processes_of(layout.folder) if found.pid not in known]
    rows += [_other_row(layout, found) for found in others if found.pid != os.getppid()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(" ".join(cells).rstrip())
    all_ready = all(status.state in ("ready", "stopped") for status in supervised)
    return exit_codes.SUCCESS if all_ready else exit_codes.FAILURE


def _daemon_row(status: ProcessStatus) -> tuple[str, ...]:
    pid = "-" if status.pid is None else str(status.pid)
    return (
        status.node,
        status.program,
        status.state,
        pid,
        f"{status.uptime_seconds:.0f}s",
        str(status.restarts),
        "-" if status.pid is None else _mib(rss_kib(status.pid)),
    )


def _other_row(layout: Layout, found: FoundProcess) -> tuple[str, ...]:
    """Describe a job, a guest, a script or the supervisor."""
    node = Path(found.root).name if found.root.startswith(f"{layout.folder}/") else "-"
    words = found.command.split(" ")
    name = Path(words[0]).name
    if "gantry.cli.devcluster.supervisor" in words:
        name = "supervisor"
    elif words[-1].startswith(HOLDER_TITLE):
        name = words[-1]
    elif name.startswith("gantry-job"):
        name = found.command
    return (node, name[:40], "running", str(found.pid), "-", "-", _mib(found.rss_kib))


def _mib(kib: int) -> str:
    return f"{kib / 1024:.0f}M"
