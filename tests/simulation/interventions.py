"""What people do to a cluster in the middle of it, besides submitting jobs.

Each intervention returns whether it came about.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from uuid import UUID

import trio
from attrs import define
from tests.simulation.cluster import Cluster, Gone
from tests.simulation.people import NO_ANSWER, RETRY_SECONDS, People

from gantry.protocols.luxi import Luxi
from gantry.runtime.environment import Environment
from gantry.runtime.failover import fail_over
from gantry.runtime.promotion import PromotionRefused

HOLD_SECONDS: Final = (1.0, 30.0)
"""How long jobs or the queue are held up."""

TRIES_MAX: Final = 100

LEADS: Final = "is the master already"
"""Why a node is not promoted that leads."""

FILTERED: Final = ("OP_INSTANCE_CREATE", "OP_TEST_DELAY", "OP_TAGS_SET", "OP_INSTANCE_MIGRATE")


@define(eq=False)
class Interventions:
    """People with a say in what becomes of jobs, the queue and the mastership."""

    cluster: Cluster
    people: People
    failovers: int = 0
    _has_failed: bool = False
    """Whether the last failover has: it is not known then whether anybody leads."""

    def _job(self, chance: random.Random) -> int | None:
        living = [job for job, told in self.people.jobs.items() if not told.is_over]
        return chance.choice(living) if living else None

    async def cancel(self, chance: random.Random) -> bool:
        job, kill = self._job(chance), chance.random() < 0.2
        if job is None:
            return False

        async def cancel(luxi: Luxi) -> object:
            return await luxi.cancel_job(job, kill)

        self.cluster.timeline.say("people", f"cancel job {job}{' (kill)' if kill else ''}")
        await self.people.ask("cancel", cancel)
        return True

    async def priority(self, chance: random.Random) -> bool:
        job, priority = self._job(chance), chance.choice((-10, 0, 10))
        if job is None:
            return False

        async def change(luxi: Luxi) -> object:
            return await luxi.change_job_priority(job, priority)

        await self.people.ask("priority", change)
        return True

    async def _insist(self, what: str, ask: Callable[[Luxi], Awaitable[object]]) -> None:
        """Ask until there is an answer."""
        for _ in range(TRIES_MAX):
            if await self.people.ask(what, ask) is not None:
                return
            await trio.sleep(RETRY_SECONDS)

    async def drain(self, chance: random.Random) -> bool:
        async def drain(flag: bool, luxi: Luxi) -> object:
            return (await luxi.set_drain_flag(flag),)

        happened = await self.people.ask("drain", partial(drain, True)) is not None
        await trio.sleep(chance.uniform(*HOLD_SECONDS))
        await self._insist("undrain", partial(drain, False))
        return happened

    async def pause_queue(self, chance: random.Random) -> bool:
        async def pause(flag: bool, luxi: Luxi) -> object:
            return (await luxi.set_queue_pause(flag),)

        happened = await self.people.ask("pause the queue", partial(pause, True)) is not None
        await trio.sleep(chance.uniform(*HOLD_SECONDS))
        await self._insist("let the queue go on", partial(pause, False))
        return happened

    async def pause(self, chance: random.Random) -> bool:
        """Have a job stand still for a while, wherever it is."""
        job = self._job(chance)
        if job is None:
            return False

        async def pause(luxi: Luxi) -> object:
            return await luxi.pause_job(job)

        async def resume(luxi: Luxi) -> object:
            return await luxi.resume_job(job)

        answer = await self.people.ask(f"pause job {job}", pause)
        await trio.sleep(chance.uniform(*HOLD_SECONDS))
        await self._insist(f"let job {job} go on", resume)
        return isinstance(answer, list | tuple) and bool(answer[0])

    async def filter(self, chance: random.Random) -> bool:
        """Have the queue hold some opcodes up, or turn them away, for a while."""
        action = chance.choice(("PAUSE", "REJECT", ["RATE_LIMIT", 1], "CONTINUE"))
        predicates = [["opcode", ["=", "OP_ID", chance.choice(FILTERED)]]]
        uuid = str(UUID(int=chance.getrandbits(128), version=4))

        async def add(luxi: Luxi) -> object:
            return await luxi.replace_filter(uuid, 0, [*predicates], action, [])

        async def remove(luxi: Luxi) -> object:
            rows = await luxi.query_filters(None, ("uuid",))
            if isinstance(rows, list) and [uuid] in rows:
                await luxi.delete_filter(uuid)
            return True

        happened = await self.people.ask(f"filter: {action} {predicates}", add) is not None
        if not happened:
            self.people.late_filters.append(uuid)
        await trio.sleep(chance.uniform(*HOLD_SECONDS))
        await self._insist("remove the filter", remove)
        return happened

    async def archive(self, chance: random.Random) -> bool:
        over = [told for told in self.people.jobs.values() if told.is_over and not told.archived]
        if not over:
            return False
        told = chance.choice(over)
        told.archived = True

        async def archive(luxi: Luxi) -> object:
            return await luxi.archive_job(told.id)

        await self.people.ask("archive", archive)
        return True

    async def failover(self, chance: random.Random) -> bool:
        """Make another node the master."""
        others = [name for name in self.cluster.nodes if name != self.cluster.master]
        return await self.fail_over_to(chance.choice(others)) or await self.fail_over_again(chance)

    async def fail_over_again(self, chance: random.Random) -> bool:
        """Give the command elsewhere after one that failed, until somebody leads.

        It may have ended the old reign and begun no new one; nobody else puts that right.
        """
        for _ in range(TRIES_MAX):
            await trio.sleep(RETRY_SECONDS)
            leads = self.cluster.master_node.services.process("luxid") is not None
            if leads or not self._has_failed:
                return False
            if await self.fail_over_to(chance.choice([*self.cluster.nodes])):
                return True
        return False

    async def fail_over_to(self, name: str) -> bool:
        """Give the command on a node: again, as long as that leaves the cluster without a master.

        One that is broken off may have ended the old reign, and nobody else begins a new one.
        """
        for _ in range(TRIES_MAX):
            if await self._command(name):
                return True
            if await self.people.ask("who leads?", _who_leads) is not None:
                return False
            await trio.sleep(RETRY_SECONDS)
        return False

    async def _command(self, name: str) -> bool:
        timeline = self.cluster.timeline

        def say(text: str) -> None:
            timeline.say(f"failover to {name.partition('.')[0]}", text[:200])

        async def main(env: Environment) -> None:
            await fail_over(env, say, forced=False)

        self._has_failed = True  # unless it comes to its end
        try:
            await self.cluster.command(name, "gnt-cluster", main)
        except PromotionRefused as error:
            say(f"refused: {error}")
            leads = self.cluster.nodes[name].services.process("luxid") is not None
            if LEADS not in str(error) or not leads:  # it may only not have heard of its end
                return False
            # An earlier command has come about, though who gave it did not live to hear so.
            self.cluster.master, self._has_failed = name, False
            return True
        except (*NO_ANSWER, Gone) as error:
            say(f"did not come about: {error!r}")
            return False
        say("it is the master now")
        self._has_failed = False
        self.cluster.master = name
        self.failovers += 1
        return True


async def _who_leads(luxi: Luxi) -> object:
    return await luxi.query_config_values(("master_node",))
