"""What people and machines do so that jobs and replicas go where they seldom go.

Each situation returns whether it came about. Others may break in upon it: then it did not.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

import trio
import trio.lowlevel
from attrs import define
from tests.simulation.aiming import Deed, Move, Where, step_of, stepper_of
from tests.simulation.breakage import Breakage
from tests.simulation.checks import FAKES
from tests.simulation.cluster import Cluster, Node, Slow
from tests.simulation.people import People, Told
from tests.simulation.scenario import Situation
from tests.simulation.wishes import APART, COMMAND, Op

from gantry.protocols.jobs import Choice
from gantry.protocols.luxi import Luxi
from gantry.runtime.testing.machine import MemoryProcess

if TYPE_CHECKING:
    from tests.simulation.faults import Faults

CALLS: Final = "daemons.job.performer Performer._call_once #1"
DOES: Final = "daemons.job.stepping Stepper._do #3"
RECORDS: Final = "daemons.job.stepping Stepper._do #1"
ANNOUNCES: Final = "daemons.job.stepping Stepper._do #2"
ACTS: Final = "daemons.noded.calls KeyedCalls._run #3"

MOMENT_SECONDS: Final = 1.0
HEARD_SECONDS: Final = 0.02
"""So soon a machine knows that a connection was reset, and does not try again yet."""

READY_SECONDS_MAX: Final = 40.0
"""How long it is waited for a job that prepares a situation."""

DEATHS: Final = 3
"""After so many a job is rolled back."""

FORSAKEN_SECONDS: Final = 80.0
"""Longer than it takes until a node counts as away, and what was done there as left behind."""

REFUSING_SECONDS: Final = 75.0
"""Longer than a step is tried again that a node refuses."""

LOST_SECONDS: Final = 30.0
CUT_SECONDS: Final = 25.0
LONG_SECONDS: Final = 90.0
"""What a command or a start takes that is to be at work while its job is over."""

TAKEN: Final = "is in use by job"
"""What is said of something that another job has reserved."""

CANCELLED_SHARE: Final = 0.6
JOBS: Final = 25
RUSH_SECONDS: Final = 0.1
"""Between two of them, if there is a rush."""


class Hindered(Exception):
    """Too few nodes are up."""


@define(eq=False)
class Situations:
    """Brings them about."""

    faults: Faults

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self.faults.cluster

    @property
    def people(self) -> People:
        """The people."""
        return self.faults.people

    @property
    def breakage(self) -> Breakage:
        """What breaks machines."""
        return self.faults.breakage

    async def come_about(self, kind: Situation, chance: random.Random) -> bool:
        """Let one come about; too few nodes may be up for it."""
        try:
            return await self._of(kind, chance)
        except Hindered:
            return False

    def _of(self, kind: Situation, chance: random.Random) -> Awaitable[bool]:  # noqa: C901, PLR0912 - one line for each kind
        match kind:
            case "node forsaken":
                return self._forsaken(chance)
            case "rehearsal":
                return self._rehearsal()
            case "removal hounded":
                return self._removal_hounded(chance)
            case "migration refused":
                return self._migration_refused(chance)
            case "source lost":
                return self._source_lost(chance)
            case "target refuses":
                return self._target_refuses(chance)
            case "lease lost":
                return self._lease_lost()
            case "seen afterwards":
                return self._seen_afterwards(chance)
            case "forgotten at work":
                return self._forgotten(chance)
            case "told to abort":
                return self._told_to_abort(chance)
            case "installer killed":
                return self._installer_killed(chance)
            case "installer hounded":
                return self._installer_hounded(chance)
            case "comes and goes":
                return self._comes_and_goes(chance)
            case "undone elsewhere":
                return self._undone_elsewhere(chance)
            case "there and back":
                return self._there_and_back(chance)
            case "left behind":
                return self._left_behind(chance)
            case "rush":
                return self._rush()
            case "master lost":
                return self._master_lost(chance)
            case "locked for long":
                return self._locked_for_long(chance)
            case "once more":
                return self._once_more(chance)
            case "two halves":
                return self._two_halves(chance)
        assert_never(kind)

    # --- what they have in common ----------------------------------------------------------------

    def _others(self, chance: random.Random, count: int = 1) -> list[Node]:
        """Return nodes that are up and no masters, in any order.

        Raises:
            Hindered: there are fewer.
        """
        members = [self.cluster.nodes[name] for name in self.people.known.nodes]
        others = [n for n in members if n.is_up and n.name != self.cluster.master]
        if len(others) < count:
            raise Hindered
        return chance.sample(others, count)

    async def _submit(self, *ops: Op) -> Told | None:
        mark = f"{ops[0]['OP_ID']} {self.people.known.fresh('situation')}"
        return await self.people.submit(ops, mark)

    async def _at(
        self, told: Told | None, name: str, point: str = CALLS, deed: Deed = "watch"
    ) -> bool:
        """Wait until a job's process is at a point in a step, and do something to it there."""
        if told is None:
            return False
        where = _in_step(f"job-{told.id}", name)
        found = self.faults.sights.follow(
            Move(deed, point, where=where), seconds_max=READY_SECONDS_MAX
        )
        return await found is not None

    async def _running_on(self, node: Node) -> str | None:
        """Have a new instance run on a node."""
        made = self._creation(node)
        told = await self._submit(made)
        if told is None:
            return None
        with trio.move_on_after(READY_SECONDS_MAX):
            await told.over.wait()
        done = told.is_over and told.statuses[-1] == "success"
        return str(made["instance_name"]) if done else None

    def _creation(self, node: Node) -> Op:
        name = f"{self.people.known.fresh(APART)}.gantry.test"
        return {
            "OP_ID": "OP_INSTANCE_CREATE",
            "instance_name": name,
            "mode": "create",
            "disks": [{"size": 128}],
            "nics": [],
            "disk_template": "sharedfile",
            "os_type": "noop",
            "pnode": node.name,
            "start": True,
            "name_check": False,
            "ip_check": False,
            "ignore_ipolicy": True,
        }

    def _tagging(self) -> Op:
        tags = [self.people.known.fresh("tag")]
        return {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None, "tags": [*tags]}

    async def _migrating(self, chance: random.Random) -> tuple[Told | None, Node, Node] | None:
        """Have a new instance, and a job that migrates it."""
        source, target = self._others(chance, 2)
        name = await self._running_on(source)
        if name is None:
            return None
        moving: Op = {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": name}
        return await self._submit({**moving, "target_node": target.name}), source, target

    # --- what is left behind ---------------------------------------------------------------------

    async def _forsaken(self, chance: random.Random) -> bool:
        """Lose a node amid an installation, for longer than it is tried to undo that."""
        [node] = self._others(chance)
        step = chance.choice(("create disk", "run the create script"))
        if not await self._at(await self._submit(self._creation(node)), step):
            return False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                self.breakage.dark, node, chance, FORSAKEN_SECONDS + chance.uniform(0, 9)
            )
            await trio.sleep(FORSAKEN_SECONDS)
            elsewhere: Op = {"OP_ID": "OP_TEST_DELAY", "duration": 0.1, "on_master": False}
            await self._submit({**elsewhere, "on_nodes": [self.cluster.master]})
        await self._submit({**elsewhere, "on_nodes": [self.cluster.master]})
        await self._submit({"OP_ID": "OP_NODE_CLEAN_UP", "node_name": node.name})
        return True

    async def _rehearsal(self) -> bool:
        """Ask what a change would be, and make another one in the same job."""
        trial: Op = {"OP_ID": "OP_TEST_DELAY", "duration": 0.1, "dry_run": True}
        return await self._submit(trial, self._tagging()) is not None

    # --- where there is no way back --------------------------------------------------------------

    async def _removal_hounded(self, chance: random.Random) -> bool:
        """Kill the processes of a job that can only be carried on, until it is rolled back."""
        [node] = self._others(chance)
        name = await self._running_on(node)
        if name is None:
            return False
        removal: Op = {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": name}
        told = await self._submit(removal, self._tagging())
        if told is None:
            return False
        where = _past_return(f"job-{told.id}")
        for _ in range(DEATHS):
            point, times = chance.choice(((DOES, 1), (RECORDS, 2), (RECORDS, 3)))
            if await self.faults.sights.follow(Move("kill", point, times, where)) is None:
                return False
        return True

    async def _migration_refused(self, chance: random.Random) -> bool:
        """Kill the processes of a job that is about to migrate; then the source refuses to."""
        migrating = await self._migrating(chance)
        if migrating is None:
            return False
        told, source, _ = migrating
        for _ in range(DEATHS):
            if not await self._at(told, "migrate", ANNOUNCES, "kill"):
                return False
        await self.breakage.full(source, CUT_SECONDS)
        return True

    async def _source_lost(self, chance: random.Random) -> bool:
        """Lose the node from which an instance has just been migrated."""
        migrating = await self._migrating(chance)
        if migrating is None or not await self._at(migrating[0], "finish on the target"):
            return False
        await self.breakage.dark(migrating[1], chance, FORSAKEN_SECONDS)
        return True

    async def _target_refuses(self, chance: random.Random) -> bool:
        """Fill the disk of the node to which an instance has just been migrated."""
        migrating = await self._migrating(chance)
        if migrating is None or not await self._at(migrating[0], "note the new primary", DOES):
            return False
        await self.breakage.full(migrating[2], REFUSING_SECONDS)
        return True

    # --- what nobody hears of --------------------------------------------------------------------

    async def _lease_lost(self) -> bool:
        """Cut the master off while a job of many small steps runs."""
        steps: Op = {"OP_ID": "OP_TEST_DELAY", "duration": 0.3, "repeat": 60, "on_master": True}
        if not await self._at(await self._submit(steps), "delay", DOES):
            return False
        to, back = self.breakage.ways(self.cluster.master_node)
        await self.breakage.cut(to + back, CUT_SECONDS)
        return True

    async def _seen_afterwards(self, chance: random.Random) -> bool:
        """Kill a NodeD amid a step of which it can be seen whether it has happened."""
        if chance.random() < 0.5:
            migrating = await self._migrating(chance)
            if migrating is None:
                return False
            told, node, name = migrating[0], migrating[1], "migrate"
        else:
            [node] = self._others(chance)
            instance = await self._running_on(node)
            reboot: Op = {"OP_ID": "OP_INSTANCE_REBOOT", "reboot_type": "hard"}
            if instance is None:
                return False
            told = await self._submit({**reboot, "instance_name": instance})
            name = "reboot instance"
        if not await self._at(told, name):
            return False

        def there(process: MemoryProcess, _: trio.lowlevel.Task) -> bool:
            return process.program == "noded" and process.machine is node.machine

        return await self.faults.sights.follow(Move("kill", ACTS, where=there)) is not None

    async def _ring(self, node: Node, seconds: float) -> Told | None:
        """Have a command at work on a node that takes its time; nobody may guess about it."""
        scripts = self.cluster.scripts
        scripts.command_seconds, before = seconds, scripts.commands
        op: Op = {"OP_ID": "OP_RESTRICTED_COMMAND", "nodes": [node.name], "command": COMMAND}
        told = await self._submit(op)
        with trio.move_on_after(READY_SECONDS_MAX):
            while scripts.commands == before:  # noqa: ASYNC110 - as people look again and again
                await trio.sleep(MOMENT_SECONDS)
        scripts.command_seconds = None
        return told if scripts.commands > before else None

    async def _answer(self, told: Told, choice: Choice) -> bool:
        """Answer what a job asks, as soon as it does; returns whether it is over then."""
        with trio.move_on_after(LONG_SECONDS):
            while not told.is_over:
                await self.people.ask("what is asked", partial(_decide, told.id, choice))
                await trio.sleep(MOMENT_SECONDS)
        return told.is_over

    async def _forgotten(self, chance: random.Random) -> bool:
        """Have a person say that a command is done which is still at work on a node cut off."""
        [node] = self._others(chance)
        told = await self._ring(node, LONG_SECONDS)
        if told is None:
            return False
        self.breakage.break_connections(node)
        await trio.sleep(HEARD_SECONDS)
        async with trio.open_nursery() as nursery:
            master = self.cluster.master
            both = [(master, node.name), (node.name, master)]
            nursery.start_soon(self.breakage.cut, both, 2 * CUT_SECONDS)
            return await self._answer(told, "skip")

    async def _told_to_abort(self, chance: random.Random) -> bool:
        """Have a person undo a job of whose command nobody knows whether it was done."""
        [node] = self._others(chance)
        told, process = await self._ring(node, MOMENT_SECONDS), node.services.process("noded")
        if told is None or process is None:
            return False
        process.kill()
        return await self._answer(told, "abort")

    async def _installer_killed(self, chance: random.Random) -> bool:
        """Kill a job amid an installation, and perhaps cancel it before it is taken up again."""
        [node] = self._others(chance)
        told = await self._submit(self._creation(node))
        if told is None or not await self._at(told, "run the create script", deed="kill"):
            return False
        if chance.random() < CANCELLED_SHARE:
            await self.people.ask(f"cancel job {told.id}", partial(_cancel, told.id))
        return True

    async def _installer_hounded(self, chance: random.Random) -> bool:
        """Kill the processes of a job amid an installation, until it is rolled back."""
        [node] = self._others(chance)
        self.cluster.scripts.script_seconds = LONG_SECONDS
        told = await self._submit(self._creation(node))
        deaths = 0
        while deaths < DEATHS and await self._at(told, "run the create script", deed="kill"):
            deaths += 1
        self.cluster.scripts.script_seconds = None
        return deaths == DEATHS

    async def _undone_elsewhere(self, chance: random.Random) -> bool:
        """Cancel a job amid the start of an instance, and make another node the master."""
        master = self.cluster.master_node
        node, heir = self._others(chance, 2)
        told = await self._submit(self._creation(node))
        if told is None or not await self._at(told, "run the create script"):
            return False
        async with trio.open_nursery() as nursery:
            slow = Slow((LOST_SECONDS, LONG_SECONDS), FAKES)
            nursery.start_soon(self.breakage.stall, node, slow, LONG_SECONDS)
            if not await self._at(told, "start instance"):
                return False
            await trio.sleep(MOMENT_SECONDS)
            both = [(master.name, node.name), (node.name, master.name)]
            nursery.start_soon(self.breakage.cut, both, LONG_SECONDS)
            await self.people.ask(f"cancel job {told.id}", partial(_cancel, told.id))
            nursery.start_soon(self.breakage.dark, master, chance, LONG_SECONDS)
            if not await self.faults.interventions.fail_over_to(heir.name):
                await self.faults.interventions.fail_over_again(chance)
        return True

    # --- masters and replicas --------------------------------------------------------------------

    async def _there_and_back(self, chance: random.Random) -> bool:
        """Make another node the master and then the old one again, while a job stands still."""
        first = self.cluster.master
        [second] = self._others(chance)
        steps: Op = {"OP_ID": "OP_TEST_DELAY", "duration": 0.3, "repeat": 40, "on_master": True}
        told = await self._submit(steps)
        if told is None or not await self._at(told, "delay", DOES):
            return False
        await self.people.ask(f"pause job {told.id}", partial(_pause, told.id))
        led = [await self.faults.interventions.fail_over_to(name) for name in (second.name, first)]
        await self.people.ask(f"let job {told.id} go on", partial(_resume, told.id))
        return all(led)

    async def _comes_and_goes(self, chance: random.Random) -> bool:
        """Take a node out that has no instances, and add it again."""
        [node] = self._others(chance)
        gone = await self._submit({"OP_ID": "OP_NODE_REMOVE", "node_name": node.name})
        if gone is None:
            return False
        with trio.move_on_after(READY_SECONDS_MAX):
            await gone.over.wait()
        return gone.is_over and await self.people.take_in(node.name)

    async def _left_behind(self, chance: random.Random) -> bool:
        """Have much happen while a node is dark."""
        [node] = self._others(chance)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.breakage.dark, node, chance, LOST_SECONDS)
            for _ in range(JOBS):
                await self._submit(self._tagging(), self._tagging())
        return True

    async def _rush(self) -> bool:
        """Want much at once, so that there is always something that waits to be written."""
        async with trio.open_nursery() as nursery:
            nodes = [*self.people.known.nodes]
            delay: Op = {"OP_ID": "OP_TEST_DELAY", "duration": RUSH_SECONDS, "on_master": False}
            for _ in range(JOBS):
                waiting: Op = {**delay, "on_nodes": [*nodes], "no_locks": True, "repeat": 2}
                nursery.start_soon(self._submit, self._tagging(), waiting)
                await trio.sleep(RUSH_SECONDS)
        return True

    async def _two_halves(self, chance: random.Random) -> bool:
        """Cut the master off with one other node, and have the rest go on without them."""
        beside, *others = self._others(chance, 4)
        here, there = [self.cluster.master, beside.name], [node.name for node in others]
        between = [(a, b) for a in here for b in there]
        between += [(b, a) for a, b in between]
        await self._at(await self._submit(self._creation(beside)), "run the create script")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.breakage.cut, between, LOST_SECONDS)
            await self._submit(self._tagging())
            return await self.faults.interventions.fail_over_to(there[0])

    async def _master_lost(self, chance: random.Random) -> bool:
        """Lose the master as soon as a job has begun to change something."""
        node, heir = self._others(chance, 2)
        if not await self._at(await self._submit(self._creation(node)), "create disk"):
            return False
        await trio.sleep(chance.uniform(0.0, HEARD_SECONDS))
        async with trio.open_nursery() as nursery:
            master = self.cluster.master_node
            nursery.start_soon(self.breakage.dark, master, chance, LONG_SECONDS)
            return await self.faults.interventions.fail_over_to(heir.name)

    async def _locked_for_long(self, chance: random.Random) -> bool:
        """Want an instance changed on a new master while a job of the old one still works on it."""
        node, heir = self._others(chance, 2)
        made = {**self._creation(node), "start": False}
        name = made["instance_name"]
        told = await self._submit(made)
        if told is None:
            return False
        with trio.move_on_after(READY_SECONDS_MAX):
            await told.over.wait()
        again: Op = {"OP_ID": "OP_INSTANCE_REINSTALL", "instance_name": name}
        self.cluster.scripts.script_seconds = LONG_SECONDS
        there = await self._at(await self._submit(again), "run the create script")
        await trio.sleep(HEARD_SECONDS)
        self.cluster.scripts.script_seconds = None
        if not there or not await self.faults.interventions.fail_over_to(heir.name):
            return False
        return await self._submit(again) is not None

    async def _once_more(self, chance: random.Random) -> bool:
        """Want the very instance again whose installation has failed."""
        [node] = self._others(chance)
        made = self._creation(node)
        self.cluster.scripts.failing += 1
        first = await self._submit(made)
        if first is None:
            return False
        with trio.move_on_after(READY_SECONDS_MAX):
            await first.over.wait()
        second = await self._submit(made) if first.is_over else None
        if second is None:
            return False
        first.again = second.again = True  # the name is not one job's own
        with trio.move_on_after(READY_SECONDS_MAX):
            await second.over.wait()
        said = str(await self.people.ask("what became of it", partial(_results, second.id)))
        if TAKEN in said:
            self.cluster.fail(f"job {second.id} has not got what job {first.id} had: {said}")
        return True


def _in_step(program: str, name: str) -> Where:
    """Return whether a task of a program is at a step of a name."""

    def there(process: MemoryProcess, task: trio.lowlevel.Task) -> bool:
        if process.program != program:
            return False
        step = step_of(task)
        return step is not None and step.name.startswith(name)

    return there


def _past_return(program: str) -> Where:
    """Return whether a task of a job carries on a plan that can not be undone any more."""

    def there(process: MemoryProcess, task: trio.lowlevel.Task) -> bool:
        if process.program != program:
            return False
        stepper = stepper_of(task)
        return stepper is not None and stepper.progress().past_return

    return there


async def _decide(job: int, choice: Choice, luxi: Luxi) -> object:
    for asking, _, _ in await luxi.query_questions():
        if asking == job:
            await luxi.decide_job(job, choice)
    return True


async def _results(job: int, luxi: Luxi) -> object:
    return await luxi.query_jobs((job,), ("opresult",))


async def _cancel(job: int, luxi: Luxi) -> object:
    return await luxi.cancel_job(job, kill=False)


async def _pause(job: int, luxi: Luxi) -> object:
    return await luxi.pause_job(job)


async def _resume(job: int, luxi: Luxi) -> object:
    return await luxi.resume_job(job)
