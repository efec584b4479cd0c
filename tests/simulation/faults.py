"""What breaks, and how: each kind of fault is a method."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable
from typing import Final, Literal

import trio
from attrs import define, field
from tests.simulation.aiming import SECONDS_MAX, Sights
from tests.simulation.breakage import OUTAGE_SECONDS, Breakage, Way
from tests.simulation.cluster import Cluster, Node
from tests.simulation.interventions import Interventions
from tests.simulation.people import People, Told
from tests.simulation.scenario import Fault, Situation, chance_of
from tests.simulation.situations import Situations
from tests.simulation.trails import SITUATIONS, TRAILS
from tests.simulation.wishes import COMMAND, Op
from tests.simulation.world import Doom

from gantry.runtime.testing.machine import MemoryProcess
from gantry.runtime.testing.wires import Delay, Station

STEPS_MAX: Final = 400
"""How many steps of its tasks a doomed process has left at the most: so it dies anywhere."""

WAIT_SECONDS: Final = 0.2
WAITS_MAX: Final = 150
"""How often it is looked for a process that is to die."""

DOOM_SECONDS_MAX: Final = 20.0
"""When a process that does little dies all the same."""

LOST_SECONDS_MAX: Final = 240.0
"""So long a lost machine stays away if nobody can be told that it is."""

DARK_SECONDS: Final = (1.0, 40.0)
CUT_SECONDS: Final = (1.0, 30.0)
Intervention = Literal[
    "cancel",
    "priority",
    "pause",
    "queue pause",
    "filter",
    "drain",
    "archive",
    "failover",
    "master replaced",
    "lonely candidate",
]
"""What people do in the middle of it."""

LONG_CUT_SECONDS: Final = (20.0, 45.0)
"""Longer than a lease, mostly longer than a promotion takes."""
NOTICED_SECONDS: Final = (0.0, 10.0)
"""After this time people notice that a machine is cut off."""
HOUNDED_MAX: Final = 60
"""How often it is looked for a process of a job that is hounded."""
ACKNOWLEDGED_SECONDS_MAX: Final = 10.0
JUST_AFTER_SECONDS: Final = (0.0, 0.02)
FULL_SECONDS: Final = (1.0, 15.0)
SLOW_SECONDS: Final = (0.05, 1.5)
CLOCK_SECONDS: Final = 3600.0
DISK_ERRORS_MAX: Final = 4
RARE_SECONDS_MAX: Final = 150.0
"""So long it is waited for a process that comes to a point for which much has to happen before."""


@define(eq=False)
class Faults:
    """Lets faults happen to a cluster."""

    cluster: Cluster
    people: People
    nursery: trio.Nursery
    happened: Counter[str] = field(factory=Counter)
    """What really happened, by kind."""
    interventions: Interventions = field(init=False)
    situations: Situations = field(init=False)
    sights: Sights = field(init=False)
    breakage: Breakage = field(init=False)
    _usual_delay: Delay = field(init=False)
    """Of the network, when nothing is wrong with it."""

    def __attrs_post_init__(self) -> None:
        self.interventions = Interventions(self.cluster, self.people)
        self._usual_delay = self.cluster.wires.delay
        deeds = chance_of(self.people.scenario, "deeds")
        self.breakage = Breakage(self.cluster, self.nursery, deeds)
        self.sights = Sights(self.cluster.pulse.turns, self.breakage.strike)
        self.situations = Situations(self)

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """Let faults happen at their moments; returns when the last one has begun."""
        began = trio.current_time()
        self.breakage.nursery = self.nursery
        self.cluster.pulse.died = self._die
        for fault in sorted(faults, key=lambda each: each.seconds):
            await trio.sleep_until(began + fault.seconds)
            self.cluster.timeline.say("FAULT", fault.text())
            self.nursery.start_soon(self._happen, fault)

    async def _happen(self, fault: Fault) -> None:
        chance = chance_of(self.people.scenario, f"fault {fault.number}")
        if await self._act(fault, chance):
            self.happened[fault.kind] += 1
        else:
            self.cluster.timeline.say("FAULT", f"{fault.number} did not come about")

    def _act(self, fault: Fault, chance: random.Random) -> Awaitable[bool]:  # noqa: C901, PLR0912 - one line for each kind
        match fault.kind:
            case "kill luxid" | "kill wconfd":
                unit = fault.kind.removeprefix("kill ")
                return self._doom(self.cluster.master_node, unit, chance)
            case "kill noded" | "kill rconfd":
                return self._doom(self._any(chance), fault.kind.removeprefix("kill "), chance)
            case "kill fork server":
                return self._doom(self.cluster.master_node, "forkserver", chance)
            case "kill job":
                return self._doom_job(chance)
            case "kill at the bell":
                return self._doom_at_the_bell(chance)
            case "kill noded at the bell":
                return self._kill_under_the_bell(chance)
            case "hound a job":
                return self._hound(chance)
            case "node dark":
                return self._dark(self._any(chance), chance)
            case "master dark":
                return self._dark(self.cluster.master_node, chance)
            case "all dark":
                return self._all_dark(chance)
            case "link cut":
                return self._cut_link(chance)
            case "node cut off":
                return self._cut_off(self._any(chance), chance)
            case "master cut off":
                return self._cut_off(self.cluster.master_node, chance)
            case "slow network":
                return self._slow(chance)
            case "connections reset":
                return self._reset(self._any(chance))
            case "clients reset":
                return self._reset_clients()
            case "disk full":
                return self._full(self._any(chance), chance)
            case "disk error":
                return self._disk_errors(self._any(chance), chance)
            case "clock jump":
                return self._clock(self._any(chance), chance)
            case "script fails":
                return self._script()
            case "node lost":
                return self._lost(chance)
            case "aimed crash":
                return self._crash(fault.point, chance)
            case _:
                return self._by_people(fault.kind, chance)

    def _by_people(self, kind: Intervention | Situation, chance: random.Random) -> Awaitable[bool]:  # noqa: C901 - likewise
        match kind:
            case "cancel":
                return self.interventions.cancel(chance)
            case "priority":
                return self.interventions.priority(chance)
            case "pause":
                return self.interventions.pause(chance)
            case "queue pause":
                return self.interventions.pause_queue(chance)
            case "filter":
                return self.interventions.filter(chance)
            case "drain":
                return self.interventions.drain(chance)
            case "archive":
                return self.interventions.archive(chance)
            case "failover":
                return self.interventions.failover(chance)
            case "master replaced":
                return self._replace(chance)
            case "lonely candidate":
                return self._lonely(chance)
            case _:
                return self.situations.come_about(kind, chance)

    def _any(self, chance: random.Random) -> Node:
        return self.cluster.nodes[chance.choice([*self.cluster.nodes])]

    async def _crash(self, point: str, chance: random.Random) -> bool:
        """Have a process die at a point that it comes to by itself, or not."""
        before, is_rare = TRAILS.get(point, ()), point in SITUATIONS
        seconds = RARE_SECONDS_MAX if is_rare else SECONDS_MAX
        return await self.sights.crash_at(point, before, chance, seconds)

    # --- processes -------------------------------------------------------------------------------

    async def _doom(self, node: Node, unit: str, chance: random.Random) -> bool:
        """Doom a daemon; one that is not there just now is waited for."""
        for _ in range(WAITS_MAX):
            process = node.services.process(unit)
            if process is not None:
                return await self._seal(process, chance)
            await trio.sleep(WAIT_SECONDS)
        return False

    async def _doom_job(self, chance: random.Random) -> bool:
        """Doom a job's process; if there is none, the next one that comes.

        One that ends before its hour has come makes room for another.
        """
        for _ in range(WAITS_MAX):
            machine = self.cluster.master_node.machine
            jobs = [p for p in machine.processes.values() if p.program.startswith("job-")]
            if jobs and await self._seal(chance.choice(jobs), chance):
                return True
            await trio.sleep(WAIT_SECONDS)
        return False

    async def _ring(self, node: Node, chance: random.Random) -> Told | None:
        """Submit what must not be done twice, and wait until it has begun."""
        op: Op = {"OP_ID": "OP_RESTRICTED_COMMAND", "nodes": [node.name], "command": COMMAND}
        before = self.cluster.scripts.commands
        told = await self.people.submit((op,), f"bell {chance.random()}")
        for _ in range(WAITS_MAX):
            if told is None or self.cluster.scripts.commands > before:
                break
            await trio.sleep(WAIT_SECONDS)
        return told

    async def _doom_at_the_bell(self, chance: random.Random) -> bool:
        """Kill a job that has just done what must not be done twice, before it has said so."""
        told, rung = await self._ring(self._any(chance), chance), self.cluster.scripts.rung
        if told is None:
            return False
        with trio.move_on_after(ACKNOWLEDGED_SECONDS_MAX):
            await rung.wait()
        await trio.sleep(chance.uniform(*JUST_AFTER_SECONDS))
        for process in [*self.cluster.master_node.machine.processes.values()]:
            if process.program == f"job-{told.id}":
                self._die(Doom(process, 0))
                return True
        return False

    async def _kill_under_the_bell(self, chance: random.Random) -> bool:
        """Kill a NodeD while it does what must not be done twice: nobody knows whether it has."""
        node = self._any(chance)
        told = await self._ring(node, chance)
        process = node.services.process("noded")
        if told is None or process is None:
            return False
        self._die(Doom(process, 0))
        return True

    async def _hound(self, chance: random.Random) -> bool:
        """Kill one job's processes again and again, until it is undone or over."""
        living = [told for told in self.people.jobs.values() if not told.is_over]
        if not living:
            return False
        told, died = chance.choice(living), False
        for _ in range(HOUNDED_MAX):
            for process in [*self.cluster.master_node.machine.processes.values()]:
                if process.program == f"job-{told.id}":
                    died = await self._seal(process, chance) or died
            await trio.sleep(WAIT_SECONDS)
        return died

    async def _seal(self, process: MemoryProcess, chance: random.Random) -> bool:
        """Have a process die some steps from now; returns whether it has."""
        doom = self.cluster.pulse.doom(process, chance.randint(1, STEPS_MAX))
        with trio.move_on_after(DOOM_SECONDS_MAX):
            await process.ended.wait()
            return doom.steps <= 0
        self.cluster.pulse.spare(doom)
        self._die(doom)
        return True

    def _die(self, doom: Doom) -> None:
        if not doom.process.life.is_over:
            self.cluster.timeline.say(doom.process.name, "is killed")
            doom.process.kill()

    # --- machines and links ----------------------------------------------------------------------

    async def _dark(self, node: Node, chance: random.Random) -> bool:
        """Take a machine's power away for a while."""
        seconds = chance.uniform(*DARK_SECONDS)
        if not node.is_up:
            return False
        await self.breakage.dark(node, chance, seconds)
        return True

    async def _all_dark(self, chance: random.Random) -> bool:
        """Take the power of all machines away just after a job was acknowledged."""
        with trio.move_on_after(ACKNOWLEDGED_SECONDS_MAX):
            await self.people.taken.wait()
        await trio.sleep(chance.uniform(*JUST_AFTER_SECONDS))
        seconds = {name: chance.uniform(*OUTAGE_SECONDS) for name in self.cluster.nodes}
        self.cluster.timeline.say("power", "all machines go dark")
        dark = [node for node in self.cluster.nodes.values() if node.is_up]
        for node in dark:
            self.breakage.switch_off(node, chance)

        async def back(node: Node) -> None:
            await trio.sleep(seconds[node.name])
            self.breakage.power_on(node)

        async with trio.open_nursery() as nursery:
            for node in dark:
                nursery.start_soon(back, node)
        return bool(dark)

    async def _cut_link(self, chance: random.Random) -> bool:
        """Cut one direction of one link."""
        first, second = chance.sample([*self.cluster.nodes], 2)
        return await self._cut([(first, second)], chance)

    async def _cut_off(self, node: Node, chance: random.Random) -> bool:
        """Cut a machine off from all others, both ways or one way only."""
        to, back = self.breakage.ways(node)
        return await self._cut(chance.choice((to, back, to + back, to + back)), chance)

    async def _replace(self, chance: random.Random) -> bool:
        """Cut the master off, and make another node the master while the old one still works."""
        old = self.cluster.master_node
        others = [name for name in self.cluster.nodes if name != old.name]
        return await self._cut_and_promote(old, chance.choice(others), chance)

    async def _lonely(self, chance: random.Random) -> bool:
        """Cut a node off and give it the command to be the master, which must come to nothing."""
        others = [name for name in self.cluster.nodes if name != self.cluster.master]
        name = chance.choice(others)
        return await self._cut_and_promote(self.cluster.nodes[name], name, chance)

    async def _cut_and_promote(self, node: Node, name: str, chance: random.Random) -> bool:
        """Cut a machine off both ways; meanwhile a node is told to be the master."""
        to, back = self.breakage.ways(node)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cut, to + back, chance, LONG_CUT_SECONDS)
            await trio.sleep(chance.uniform(*NOTICED_SECONDS))
            if not await self.interventions.fail_over_to(name):
                await self.interventions.fail_over_again(chance)
        return True

    async def _cut(
        self,
        ways: list[Way],
        chance: random.Random,
        between: tuple[float, float] = CUT_SECONDS,
    ) -> bool:
        await self.breakage.cut(ways, chance.uniform(*between))
        return True

    async def _slow(self, chance: random.Random) -> bool:
        wires = self.cluster.wires

        def slow(_from: Station, _to: Station) -> float:
            return chance.uniform(*SLOW_SECONDS)

        wires.delay = slow
        await trio.sleep(chance.uniform(*CUT_SECONDS))
        if wires.delay is slow:  # else it has become slow in another way meanwhile
            wires.delay = self._usual_delay
        return True

    async def _reset(self, node: Node) -> bool:
        await trio.lowlevel.checkpoint()
        return self.breakage.break_connections(node)

    async def _reset_clients(self) -> bool:
        """Break the connections of all LUXI clients: they send again what was not answered."""
        await trio.lowlevel.checkpoint()
        streams = [*self.cluster.master_node.machine.sockets.streams.values()]
        theirs = [stream for stream in streams if stream.program == "client"]
        for stream in theirs:
            stream.reset()
        return bool(theirs)

    # --- disks and clocks ------------------------------------------------------------------------

    async def _full(self, node: Node, chance: random.Random) -> bool:
        await self.breakage.full(node, chance.uniform(*FULL_SECONDS))
        return True

    async def _disk_errors(self, node: Node, chance: random.Random) -> bool:
        await trio.lowlevel.checkpoint()
        self.breakage.fail_next(node, chance.randint(1, DISK_ERRORS_MAX))
        return True

    async def _clock(self, node: Node, chance: random.Random) -> bool:
        await trio.lowlevel.checkpoint()
        node.machine.clock.ahead_seconds += chance.uniform(-CLOCK_SECONDS, CLOCK_SECONDS)
        return True

    async def _script(self) -> bool:
        await trio.lowlevel.checkpoint()
        self.cluster.scripts.failing += 1
        return True

    # --- machines that people give up ------------------------------------------------------------

    async def _lost(self, chance: random.Random) -> bool:
        """Lose a machine; people give it up, have its instances started elsewhere, and get it back.

        It stays dark until everything that was done because of that is over.
        """
        name = chance.choice([name for name in self.cluster.nodes if name != self.cluster.master])
        node = self.cluster.nodes[name]
        members = {*self.people.known.nodes}
        left = members - self.breakage.given_up - {name}
        if not node.is_up or 2 * len(left) <= len(members):  # no majority: they stay for long
            return False
        self.breakage.given_up.add(name)
        self.cluster.timeline.say(name, "is lost")
        self.breakage.switch_off(node, chance)
        with trio.move_on_after(LOST_SECONDS_MAX):
            await self.people.give_up(name)
        self.breakage.given_up.discard(name)
        self.breakage.power_on(node)
        await self.people.take_back(name)
        return True
