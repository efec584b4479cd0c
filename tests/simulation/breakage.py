"""What breaks on the spot, and how it is whole again: power, links, connections and disks."""

from __future__ import annotations

import errno
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio
from attrs import define, field
from tests.simulation.aiming import Deed
from tests.simulation.cluster import Cluster, Node, Slow

from gantry.protocols.noded import StepFailed
from gantry.runtime.testing.files import Operation
from gantry.runtime.testing.machine import MemoryProcess

TORN_SHARE: Final = 0.5
LOST_SECTORS_SHARE: Final = 0.3
"""How much of what was not flushed is zeros after a machine went dark; and how often."""

OUTAGE_SECONDS: Final = (1.0, 10.0)

STALL: Final = Slow((0.5, 2.0))
STALL_SECONDS: Final = 8.0
RESTARTED_AFTER_SECONDS: Final = 3.0
"""Within the stall, when others already wait for the disk, too."""

Way = tuple[str, str]
"""From one machine to another, by their names."""


@define(eq=False)
class Breakage:
    """Breaks parts of a cluster, and mends them."""

    cluster: Cluster
    nursery: trio.Nursery
    """In which machines come back and disks become fast again."""
    chance: random.Random
    torn: int = 0
    """How many disks have holes where something was not flushed."""
    given_up: set[str] = field(factory=set)
    """Lost machines: they stay dark for now."""

    def strike(self, deed: Deed, point: str, process: MemoryProcess) -> None:
        """Do something to a process or to its machine at once, amid what it does."""
        node = self.cluster.nodes[process.machine.station.name]
        if deed != "watch":
            self.cluster.timeline.say(process.name, f"{deed} at {point}")
        match deed:
            case "watch":
                pass
            case "kill":
                process.kill()
            case "fail":
                self.fail_next(node)
            case "stall":
                self.nursery.start_soon(self.stall, node)
            case "stall and restart":
                self.nursery.start_soon(self.stall, node)
                self.nursery.start_soon(self._restart, node, process.program)
            case "dark":
                self.switch_off(node, self.chance)
                self.nursery.start_soon(self._back, node, self.chance.uniform(*OUTAGE_SECONDS))
            case "reset":
                self.break_connections(node)

    async def _restart(self, node: Node, unit: str) -> None:
        """Restart a daemon in good order, as an upgrade does."""
        await trio.sleep(RESTARTED_AFTER_SECONDS)
        if node.services.process(unit) is not None:
            await node.services.stop(unit)
            with suppress(StepFailed):
                await node.services.start(unit)

    # --- power -----------------------------------------------------------------------------------

    def switch_off(self, node: Node, chance: random.Random) -> None:
        """Take the power away: what was not flushed is cut short, or has holes too."""
        node.services.lose_power()
        torn = chance.random() < TORN_SHARE
        self.torn += torn
        node.machine.lose_power(
            lambda unflushed: chance.randint(0, unflushed),
            (lambda: chance.random() < LOST_SECTORS_SHARE) if torn else None,
        )

    def power_on(self, node: Node) -> None:
        """Give a machine its power back, unless people do as if it would never return."""
        if not node.is_up and node.name not in self.given_up:
            self.cluster.timeline.say(node.name, "boots")
            node.machine.boot()
            node.services.boot()

    async def dark(self, node: Node, chance: random.Random, seconds: float) -> None:
        """Take a machine's power away for a while."""
        self.cluster.timeline.say(node.name, f"goes dark for {seconds:.1f} s")
        self.switch_off(node, chance)
        await self._back(node, seconds)

    async def _back(self, node: Node, seconds: float) -> None:
        await trio.sleep(seconds)
        self.power_on(node)

    # --- network ---------------------------------------------------------------------------------

    def ways(self, node: Node) -> tuple[list[Way], list[Way]]:
        """Return the ways from a machine to all others, and those back."""
        others = [name for name in self.cluster.nodes if name != node.name]
        return [(node.name, other) for other in others], [(other, node.name) for other in others]

    async def cut(self, ways: list[Way], seconds: float) -> None:
        """Cut some ways for a while."""
        stations = [
            (self.cluster.nodes[a].machine.station, self.cluster.nodes[b].machine.station)
            for a, b in ways
        ]
        shown = ", ".join(f"{a.partition('.')[0]}>{b.partition('.')[0]}" for a, b in ways)
        self.cluster.timeline.say("network", f"cut for {seconds:.1f} s: {shown}")
        for source, target in stations:
            self.cluster.wires.cut(source, target)
        await trio.sleep(seconds)
        for source, target in stations:
            self.cluster.wires.mend(source, target)
        self.cluster.timeline.say("network", f"mended: {shown}")

    def break_connections(self, node: Node) -> bool:
        """Break all connections of a machine, as a firewall that restarts does."""
        streams = [*node.machine.sockets.streams.values()]
        between = [stream for stream in streams if stream.is_between_machines]
        for stream in between:
            stream.reset()
        return bool(between)

    # --- disks -----------------------------------------------------------------------------------

    async def stall(self, node: Node, slow: Slow = STALL, seconds: float = STALL_SECONDS) -> None:
        """Have a part of a machine's disks be slow for a while."""
        self.cluster.slow[node.name] = slow
        await trio.sleep(seconds)
        self.cluster.slow.pop(node.name, None)

    async def full(self, node: Node, seconds: float) -> None:
        """Have no space on a disk for a while."""

        def full(operation: Operation, path: Path) -> OSError | None:
            if operation in ("write", "append", "open", "folder"):
                return OSError(errno.ENOSPC, "no space left on device", str(path))
            return None

        files = node.machine.disk
        files.fault = full
        await trio.sleep(seconds)
        files.fault = None

    def fail_next(self, node: Node, left: int = 1) -> None:
        """Have the next operations of a machine's disk fail."""
        files = node.machine.disk

        def broken(_operation: Operation, path: Path) -> OSError | None:
            nonlocal left
            left -= 1
            if left <= 0:
                files.fault = None
            return OSError(errno.EIO, "input/output error", str(path))

        files.fault = broken
