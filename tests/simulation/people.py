"""The people around a cluster: they submit jobs, watch them, and remember what they were told."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen
from tests.simulation.cluster import FINAL, Cluster, Gone, change_of
from tests.simulation.scenario import Scenario, chance_of
from tests.simulation.statuses import statuses_follow_the_allowed_transitions
from tests.simulation.wishes import Known, Op, draw

from gantry.protocols.codec import Json
from gantry.protocols.errors import GanetiError, GantryError, JobLost, OpPrereqError
from gantry.protocols.luxi import Luxi
from gantry.protocols.noded import StepFailed
from gantry.runtime.testing.machine import START_TIME

MARK: Final = "people"
"""Who gives the reason of every opcode that is submitted here."""

LOOK_EVERY: Final = 6
"""After so many jobs people see again what there is."""

RETRY_SECONDS: Final = 4.0
TRIES_MAX: Final = 40

SHARED_TEMPLATES: Final = ("sharedfile", "diskless")
"""Of instances that can start on another node when theirs is lost."""

NO_ANSWER: Final = (Gone, GantryError, OSError, trio.TooSlowError)


async def _submit(ops: tuple[Op, ...], luxi: Luxi) -> int:
    return await luxi.submit_job(ops)


async def _submit_anyway(ops: tuple[Op, ...], luxi: Luxi) -> int:
    return await luxi.submit_job_to_drained_queue(ops)


async def _submit_among_many(ops: tuple[Op, ...], luxi: Luxi) -> int:
    ((taken, answer),) = await luxi.submit_many_jobs((ops,))
    if not taken or not isinstance(answer, int):
        raise OpPrereqError(str(answer))
    return answer


WAYS: Final = (*[_submit] * 6, _submit_anyway, _submit_among_many)
"""How jobs are submitted."""


@define(eq=False)
class Told:
    """A job that was acknowledged, and what was said of it since."""

    id: int
    ops: tuple[Op, ...]
    statuses: list[str] = field(factory=list)
    op_statuses: tuple[str, ...] = ()
    """Those of the opcodes, as they were told last."""
    archived: bool = False
    again: bool = False
    """Whether an earlier try, which was not answered, may have become a job, too."""

    over: trio.Event = field(factory=trio.Event)
    """Set with its end."""

    @property
    def is_over(self) -> bool:
        """Whether its end was told."""
        return bool(self.statuses) and self.statuses[-1] in FINAL


@define(eq=False)
class People:
    """Everybody who talks to the cluster."""

    cluster: Cluster
    scenario: Scenario
    known: Known
    jobs: dict[int, Told] = field(factory=dict)
    """The acknowledged jobs."""
    unanswered: list[Op] = field(factory=list)
    """Opcodes of submissions of which nobody knows what became."""
    late_filters: list[str] = field(factory=list)
    """Filters that may come about after somebody has tried to remove them."""
    refused: int = 0
    redone: int = 0
    """How often people have said that a step is to be done again, at the most."""
    taken: trio.Event = field(factory=trio.Event)
    """Set with the next acknowledgement of a job."""
    _ways: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._ways = chance_of(self.scenario, "ways")

    @classmethod
    def of(cls, cluster: Cluster, scenario: Scenario) -> People:
        """Return the people of a run."""
        return cls(
            cluster,
            scenario,
            Known(
                [*cluster.nodes][: cluster.size],
                chance_of(scenario, "wishes"),
                scenario.instances,
                spares=[*cluster.nodes][cluster.size :],
            ),
        )

    async def want(self) -> None:
        """Submit all jobs of the run, at their moments."""
        moments = chance_of(self.scenario, "moments")
        times = sorted(
            moments.uniform(0.0, self.scenario.busy_seconds) for _ in range(self.scenario.jobs)
        )
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number, seconds in enumerate(times):
                await trio.sleep_until(began + seconds)
                if number % LOOK_EVERY == 0:
                    await self._look()
                nursery.start_soon(self._one, number, draw(self.known))

    async def _look(self) -> None:
        """See what there is, if there is an answer."""
        looked: list[list[tuple[str, str]]] = []

        async def ask(luxi: Luxi) -> object:
            fields = ("name", "disk_template")
            for rows in (
                await luxi.query_nodes((), fields[:1], False),
                await luxi.query_instances((), fields, False),
                await luxi.query_groups((), fields[:1], False),
                await luxi.query_networks((), fields[:1], False),
            ):
                assert isinstance(rows, list)
                looked.append([(row[0], row[-1]) for row in rows])
            return True

        if await self.ask("what is there?", ask):
            nodes, instances, groups, networks = looked
            names = [[name for name, _ in each] for each in (nodes, groups, networks)]
            self.known.see(names[0], dict(instances), names[1], names[2])

    async def _one(self, number: int, ops: tuple[Op, ...]) -> None:
        """Submit until somebody says that it was taken."""
        for op in ops:
            if op["OP_ID"] == "OP_NODE_ADD":
                await self._introduce(str(op["node_name"]))
        for attempt in range(TRIES_MAX):
            told = await self.submit(ops, f"{number}.{attempt}")
            if told is not None:
                told.again = attempt > 0
                return
            await trio.sleep(RETRY_SECONDS)

    async def _introduce(self, name: str) -> None:
        try:
            await self.cluster.introduce(name)
        except (*NO_ANSWER, StepFailed) as error:
            self.cluster.timeline.say("people", f"{name} does not join: {error}"[:200])

    async def submit(self, ops: tuple[Op, ...], mark: str) -> Told | None:
        """Submit a job once; ``None``: it is not known to have been taken."""
        reason: list[Json] = [[MARK, mark, int((START_TIME + trio.current_time()) * 1e9)]]
        sent = tuple({**op, "reason": reason} for op in ops)
        way = self._ways.choice(WAYS)
        try:
            answer = await self.cluster.luxi(partial(way, sent))
        except GanetiError as error:
            self.refused += 1
            self.cluster.timeline.say("people", f"refused: {ops[0]['OP_ID']}: {error}"[:300])
            return None
        except NO_ANSWER as error:
            self.unanswered.extend(ops)
            self.cluster.timeline.say("people", f"no answer: {ops[0]['OP_ID']}: {error!r}"[:200])
            return None
        assert isinstance(answer, int)
        names = ", ".join(str(op["OP_ID"]) for op in ops)
        self.cluster.timeline.say("people", f"job {answer} is taken: {names}")
        if answer in self.jobs:
            self.cluster.fail(f"job id {answer} was given out twice")
        told = self.jobs[answer] = Told(answer, ops)
        self.taken.set()
        self.taken = trio.Event()
        self.cluster.nursery.start_soon(self.watch, told)
        return told

    async def watch(self, told: Told) -> None:
        """Follow a job's status to its end, across everything that dies meanwhile."""
        seen = _Seen()
        while not told.is_over:
            try:
                answer = await self.cluster.luxi(
                    partial(change_of, told.id, seen.values, seen.serial)
                )
            except JobLost:
                if not told.archived:
                    self.cluster.fail(f"job {told.id} was acknowledged and is lost")
                told.over.set()
                return
            except NO_ANSWER:
                await trio.sleep(RETRY_SECONDS)
                continue
            assert isinstance(answer, list)
            seen = _Seen(answer[0], max([seen.serial, *(entry[0] for entry in answer[1])]))
            self._hear(told, str(answer[0][0]), tuple(map(str, answer[0][1])))

    def _hear(self, told: Told, status: str, op_statuses: tuple[str, ...]) -> None:
        before = (told.statuses[-1], told.op_statuses) if told.statuses else None
        for wrong in statuses_follow_the_allowed_transitions(before, (status, op_statuses)):
            self.cluster.fail(f"job {told.id} {wrong}")
        told.op_statuses = op_statuses
        if before is not None and before[0] == status:
            return
        told.statuses.append(status)
        if told.is_over:
            told.over.set()
        self.cluster.timeline.say("people", f"job {told.id} is {status}")

    async def take_in(self, name: str) -> bool:
        """Have a machine join, and add it as a node; returns whether that was taken."""
        await self._introduce(name)
        adding: Op = {"OP_ID": "OP_NODE_ADD", "node_name": name, "group": "default"}
        return await self.submit((adding,), f"take {name} in {self.known.fresh('try')}") is not None

    # --- a machine that is lost ------------------------------------------------------------------

    async def give_up(self, name: str) -> None:
        """Call a node offline, and have what ran there start elsewhere, where that is possible.

        Returns when no job is left that says so: from then on the node may come back.
        """
        offline: Op = {"OP_ID": "OP_NODE_SET_PARAMS", "node_name": name, "offline": True}
        await self._carried_out({**offline, "auto_promote": True}, f"give {name} up")
        others = [node for node in self.known.nodes if node != name]
        for instance in sorted(await self._instances_on(name)):
            op: Op = {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": instance}
            more = {"target_node": self.known.chance.choice(others), "ignore_consistency": True}
            await self._carried_out({**op, **more}, f"rescue {instance}")
        while await self._speaks_of(name):  # noqa: ASYNC110 - people ask again
            await trio.sleep(RETRY_SECONDS)

    async def take_back(self, name: str) -> None:
        """Call a node online again, if it is offline."""
        online: Op = {"OP_ID": "OP_NODE_SET_PARAMS", "node_name": name, "offline": False}
        await self._carried_out(online, f"take {name} back")

    async def _carried_out(self, op: Op, mark: str) -> None:
        """Submit an opcode until it is taken, and wait for the job's end."""
        for attempt in range(TRIES_MAX):
            told = await self.submit((op,), f"{mark} {self.known.fresh('try')}")
            if told is not None:
                told.again = attempt > 0
                await told.over.wait()
                return
            await trio.sleep(RETRY_SECONDS)

    async def _instances_on(self, node: str) -> list[str]:
        async def ask(luxi: Luxi) -> object:
            return await luxi.query_instances((), ("name", "pnode", "disk_template"), False)

        rows = await self.ask(f"what is on {node}", ask)
        assert rows is None or isinstance(rows, list)
        return [row[0] for row in rows or () if row[1] == node and row[2] in SHARED_TEMPLATES]

    async def _speaks_of(self, node: str) -> bool:
        """Say whether a job that is not over may still call a node offline."""

        async def ask(luxi: Luxi) -> object:
            return await luxi.query_jobs(None, ("status", "ops"))

        rows = await self.ask(f"what is to happen to {node}", ask)
        if not isinstance(rows, list):
            return True
        return any(
            op.get("node_name") == node and op.get("offline")
            for status, ops in rows
            if status not in FINAL
            for op in ops
        )

    async def ask(self, what: str, ask: Callable[[Luxi], Awaitable[object]]) -> object:
        """Ask something; what goes wrong is told."""
        try:
            return await self.cluster.luxi(ask)
        except NO_ANSWER as error:
            self.cluster.timeline.say("people", f"{what}: {error!r}"[:200])
            return None


@frozen
class _Seen:
    values: Json = None
    serial: int = 0
