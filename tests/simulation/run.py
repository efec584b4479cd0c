"""One run of the simulation, from nothing to its verdict."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import trio
from attrs import define, field
from tests.simulation.checks import look_at, problems
from tests.simulation.cluster import FINAL, Cluster
from tests.simulation.curiosity import decide, wonder
from tests.simulation.faults import Faults
from tests.simulation.guard import watch
from tests.simulation.people import NO_ANSWER, People
from tests.simulation.points import Points
from tests.simulation.scenario import FAULTS_MIN, JOBS_MIN, PARTITIONS, Scenario, chance_of
from tests.simulation.turns import Stuck
from tests.simulation.wishes import Op
from tests.simulation.world import Chance, Pulse, Timeline, run_seeded

from gantry.protocols.luxi import Luxi
from gantry.protocols.wconfd import NotDurable
from gantry.runtime.journal import AppendFailed

SETTLE_SECONDS_MAX: Final = 1000.0
"""After everything is mended; jobs wait up to minutes for what does not answer."""

LOOK_SECONDS: Final = 5.0


@define(eq=False)
class Outcome:
    """How a run ended."""

    scenario: Scenario
    timeline: Timeline
    failures: list[str] = field(factory=list)
    """What must not be; none: all is well."""
    faults: Counter[str] = field(factory=Counter)
    """What really happened, by kind."""
    jobs: int = 0
    statuses: Counter[str] = field(factory=Counter)
    failovers: int = 0
    points: Points = field(factory=Points)
    """Where processes died."""
    turns: int = 0
    """Of trio's loop."""
    partitions: int = 0
    simulated_seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def too_easy(self) -> str:
        """Say why this was no real run, if so."""
        if self.jobs < JOBS_MIN:
            return f"{self.jobs} jobs, fewer than {JOBS_MIN}"
        if self.faults.total() < FAULTS_MIN:
            return f"{self.faults.total()} faults, fewer than {FAULTS_MIN}"
        return "" if self.failovers + self.partitions else "neither a failover nor a partition"

    @property
    def checksum(self) -> int:
        """Of all that was done."""
        return self.timeline.checksum


def simulate(scenario: Scenario, *, keep_every_effect: bool = False) -> Outcome:
    """Run a scenario."""
    timeline = Timeline(every=[] if keep_every_effect else None)
    outcome, began = Outcome(scenario, timeline), time.process_time()

    async def main(pulse: Pulse) -> None:
        async with trio.open_nursery() as nursery:
            chance = Chance(scenario.seed)
            cluster = Cluster(
                scenario.nodes, chance, timeline, pulse, nursery, scenario.spares, scenario.aside
            )
            await _live(cluster, outcome)
            await cluster.end()
            nursery.cancel_scope.cancel()

    try:
        outcome.turns = run_seeded(scenario.seed, timeline, main).turns.count
    except Stuck as error:
        outcome.failures.append(f"stuck: {error}")
    outcome.cpu_seconds = time.process_time() - began
    return outcome


async def _live(cluster: Cluster, outcome: Outcome) -> None:
    scenario = outcome.scenario
    await cluster.bring_up()
    began = trio.current_time()
    cluster.timeline.say("run", f"{scenario.nodes} nodes are up")
    people = People.of(cluster, scenario)
    faults = Faults(cluster, people, cluster.nursery)
    async with trio.open_nursery() as watching:
        watching.start_soon(watch, cluster)
        watching.start_soon(wonder, people)
        watching.start_soon(decide, people)
        async with trio.open_nursery() as nursery:
            faults.nursery = nursery
            nursery.start_soon(people.want)
            nursery.start_soon(faults.run, scenario.faults)
        watching.cancel_scope.cancel()
    await _mend(cluster, faults)
    await trio.sleep_until(began + scenario.seconds - LOOK_SECONDS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(decide, people)
        await _settle(cluster, people, outcome)
        nursery.cancel_scope.cancel()
    outcome.simulated_seconds = trio.current_time() - began
    outcome.failures += [*cluster.failures, *cluster.scripts.violations, *_deaths(cluster)]
    outcome.faults, outcome.failovers = faults.happened, faults.interventions.failovers
    outcome.faults += Counter({"torn disk": faults.breakage.torn})
    outcome.partitions = sum(faults.happened[kind] for kind in PARTITIONS)
    outcome.points = cluster.points
    outcome.jobs = len(people.jobs)
    outcome.statuses = Counter(
        told.statuses[-1] if told.statuses else "?" for told in people.jobs.values()
    )


def _deaths(cluster: Cluster) -> list[str]:
    """Return which daemons failed by themselves, for another reason than a broken disk."""
    return [
        f"{process.name} failed: {failure!r}"
        for process, failure in cluster.died
        if not isinstance(failure, OSError | AppendFailed | NotDurable)
    ]


async def _mend(cluster: Cluster, faults: Faults) -> None:
    """Put right what faults have left, as those who run a cluster do in the end."""
    cluster.timeline.say("run", "everything is mended")
    for node in cluster.nodes.values():
        faults.breakage.power_on(node)
        node.machine.disk.fault = None
        node.machine.clock.ahead_seconds = 0.0
    cluster.pulse.spare_all()
    cluster.scripts.failing = 0
    cluster.slow.clear()
    await trio.sleep(LOOK_SECONDS)
    await faults.interventions.fail_over_again(chance_of(faults.people.scenario, "mending"))


async def _settle(cluster: Cluster, people: People, outcome: Outcome) -> None:
    """Wait until nothing is wrong any more, or for so long that it never will be right."""
    found: list[str] = ["nobody looked"]
    after: int | None = None
    with trio.move_on_after(SETTLE_SECONDS_MAX):
        while found:
            await trio.sleep(LOOK_SECONDS)
            try:
                await cluster.luxi(partial(_open_queue, people.late_filters))
                if after is None and await _all_over(cluster):
                    after = await _put_right(cluster, people)
                if after is None:  # the rest is looked at in the end
                    found = ["not everything that should run was started"]
                else:
                    found = problems(await look_at(cluster, people, after))
            except NO_ANSWER as error:
                found = [f"the cluster does not answer: {error!r}"]
    if after is None:
        with suppress(*NO_ANSWER):
            found += problems(await look_at(cluster, people))
    outcome.failures += found


async def _open_queue(filters: Sequence[str], luxi: Luxi) -> object:
    """Let jobs in again, in case that whoever closed the queue was not heard when done."""
    if filters:
        rows = await luxi.query_filters(None, ("uuid",))
        assert isinstance(rows, list)
        for uuid in filters:
            if [uuid] in rows:
                await luxi.delete_filter(uuid)
    await luxi.set_queue_pause(False)
    return await luxi.set_drain_flag(False)


async def _all_over(cluster: Cluster) -> bool:
    rows = await cluster.luxi(_statuses)
    assert isinstance(rows, list)
    return all(status in FINAL for (status,) in rows)


async def _statuses(luxi: Luxi) -> object:
    return await luxi.query_jobs(None, ("status",))


async def _put_right(cluster: Cluster, people: People) -> int | None:
    """Do what the watcher and an operator do in the end: nodes come back, instances start.

    Returns:
        The last of the jobs that do this; ``None``: not all were taken.
    """
    there = (await look_at(cluster, people)).configuration
    names = {node.uuid: node.name for node in there.nodes.values()}
    remnants = sorted({names[left.node] for left in there.leftovers.values()})
    wanted: list[Op] = [
        {"OP_ID": "OP_NODE_SET_PARAMS", "node_name": node.name, "offline": False}
        for node in sorted(there.nodes.values(), key=lambda each: each.name)
        if node.offline
    ]
    wanted += [{"OP_ID": "OP_NODE_CLEAN_UP", "node_name": name} for name in remnants]
    wanted += [
        {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": instance.name}
        for instance in sorted(there.instances.values(), key=lambda each: each.name)
        if instance.admin_state == "up"
    ]
    # With its locks everything is written down that was let go before.
    wanted.append({"OP_ID": "OP_TEST_DELAY", "duration": 0.1, "no_locks": False})
    last: int | None = None
    for op in wanted:
        told = await people.submit((op,), f"{op['OP_ID']} {people.known.fresh('end')}")
        if told is None:
            return None
        await told.over.wait()
        last = told.id
    return last
