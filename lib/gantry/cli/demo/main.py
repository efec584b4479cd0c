"""The demo: three nodes, a guest that boots, counts and moves while it counts.

It shows every command that it runs, and fails if anything that it promises does not happen.
Where QEMU is missing it says so and shows the same with the fake hypervisor.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from gantry.cli.demo.console_log import UP, gap, ticks
from gantry.cli.demo.show import DemoFailed, Shell, tell, wait_for
from gantry.cli.devcluster import main as devcluster
from gantry.cli.devcluster.guests import guest_parameters
from gantry.cli.devcluster.layout import DevClusterError, HypervisorChoice, Layout, existing

FOLDER: Final = Path(".demo")
GUEST: Final = "guest1.gantry.test"
LOCAL_GUEST: Final = "guest2.gantry.test"
BOOT_SECONDS_MAX: Final = 90.0
"""A guest boots in two seconds; a machine under heavy load may take long."""

TICKS_AFTER: Final = 3
"""How many numbers must arrive on the target before the migration counts as seen."""

PORTS: Final = {"RAPI": "https://{}:5080/2/info", "MonD": "http://{}:1815/1/report/all"}


def main(argv: Sequence[str]) -> int:
    """Run or take down the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m gantry.cli.demo", description=__doc__)
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--dir", type=Path, default=FOLDER, help="(%(default)s)")
    given = parser.parse_args(argv)
    folder = str(given.dir)
    if given.command == "down":
        return devcluster.main(["down", "--dir", folder])
    began = time.monotonic()
    try:
        _up(folder)
    except (DemoFailed, DevClusterError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
        print("demo: what was started still runs; end it with: make demo-down", file=sys.stderr)
        return 1
    print(f"\ndemo: all of it happened, in {time.monotonic() - began:.0f} s")
    return 0


def _hypervisor() -> HypervisorChoice:
    """Return ``kvm`` if guests can run here; else say what is missing."""
    missing = []
    if shutil.which("qemu-system-x86_64") is None:
        missing.append(
            "qemu-system-x86_64 is missing; install it with: apt install qemu-system-x86"
        )
    try:
        trio.run(guest_parameters, lambda _: None)
    except DevClusterError as error:
        missing.append(str(error))
    for text in missing:
        print(f"demo: {text}")
    if missing:
        print("demo: so the instances are not real guests: this uses the fake hypervisor")
    return "fake" if missing else "kvm"


def _up(folder: str) -> None:
    hypervisor = _hypervisor()
    tell("three nodes on this machine")
    if devcluster.main(["up", "--dir", folder, "--nodes", "3", "--hypervisor", hypervisor]):
        raise DemoFailed("the nodes did not come up")
    layout = existing(Path(folder).absolute())
    shell = Shell(layout.variables(layout.master, os.environ))
    _show_guest(layout, shell)
    _show_cluster(layout, shell)


def _show_guest(layout: Layout, shell: Shell) -> None:
    source, target = layout.nodes[1].name, layout.nodes[2].name
    tell("an instance on shared storage")
    _add(shell, GUEST, "sharedfile", source)
    console = Console(layout, GUEST)
    if layout.hypervisor == "kvm":
        tell("its serial console")
        wait_for("the guest's boot", console.boot_line, BOOT_SECONDS_MAX)
        print(console.boot_line())
    tell(f"migrate it live from {source} to {target}, while it counts")
    shell.run("gnt-instance", "migrate", "-f", "-n", target, GUEST)
    where = shell.run("gnt-instance", "list", "--no-headers", "-o", "pnode,status", GUEST).split()
    if where != [target, "running"]:
        raise DemoFailed(f"{GUEST} should run on {target}, but is: {' '.join(where)}")
    if layout.hypervisor == "kvm":
        _check_count(console, source, target)
    tell("disks that only one node has can not be migrated live, and Gantry says so")
    _add(shell, LOCAL_GUEST, "file", source)
    shell.run("gnt-instance", "migrate", "-f", "-n", target, LOCAL_GUEST, fails=True)


def _add(shell: Shell, name: str, template: str, node: str) -> None:
    options = ["-t", template, "-o", "busybox", "-s", "64m", "-B", "memory=128m", "-n", node]
    shell.run("gnt-instance", "add", *options, "--no-name-check", "--no-ip-check", name)


@frozen
class Console:
    """The files to which the hypervisor writes what a guest says on its serial console."""

    layout: Layout
    guest: str

    def said_on(self, node: str) -> bytes:
        """Return all that the guest has said while it was on a node."""
        log = self.layout.node(node).root / f"var/log/ganeti/kvm/{self.guest}.serial.log"
        return log.read_bytes() if log.exists() else b""

    def boot_line(self) -> str | None:
        """Return the line with which the guest says that it is up."""
        for node in self.layout.nodes:
            for line in self.said_on(node.name).splitlines():
                if line.startswith(UP):
                    return line.decode(errors="replace")
        return None


def _check_count(console: Console, source: str, target: str) -> None:
    def arrived() -> list[int] | None:
        numbers = ticks(console.said_on(target))
        return numbers if len(numbers) >= TICKS_AFTER else None

    after = wait_for("counting on the target", arrived, BOOT_SECONDS_MAX)
    before = ticks(console.said_on(source))
    problem = gap([*before, *after])
    if problem is not None:
        raise DemoFailed(f"the guest's count has a gap: {problem}")
    print(
        f"\nthe guest counted to {before[-1]} on {source} and from {after[0]} on {target}: no gap"
    )


def _show_cluster(layout: Layout, shell: Shell) -> None:
    tell("the cluster")
    shell.run("gnt-node", "list")
    shell.run("gnt-instance", "list")
    shell.run("gnt-job", "list")
    shell.run("gnt-cluster", "verify")
    tell("where to look")
    for name, url in PORTS.items():
        print(f"{name}: {url.format(layout.master.address)}")
    print(f'in a shell: eval "$({_env_command(layout)})"')
    print("to end it:  make demo-down")


def _env_command(layout: Layout) -> str:
    program = Path(sys.executable).parent / "gantry"
    return f"{program} devcluster env --dir {layout.folder}"
