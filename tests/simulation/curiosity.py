"""What people ask the cluster besides: calls that change nothing, or nothing that is looked at."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio
from tests.simulation.people import People
from tests.simulation.scenario import chance_of

from gantry.protocols.jobs import Choice
from gantry.protocols.luxi import Luxi

SECONDS_MAX: Final = 40.0
"""Between two questions."""

LONG_AGO_SECONDS: Final = 10**6
"""No job is as old: people archive theirs one by one."""

CHOICES: Final[Sequence[Choice]] = ("skip", "redo", "abort")

Question = Callable[[Luxi, int, random.Random], Awaitable[object]]
"""Something to ask, perhaps about a job."""

QUESTIONS: Final[Sequence[Question]] = (
    lambda luxi, _, __: luxi.query_cluster_info(),
    lambda luxi, _, __: luxi.query_config_values(("cluster_name", "master_node", "drain_flag")),
    lambda luxi, _, __: luxi.query_tags("cluster", ""),
    lambda luxi, _, __: luxi.query("node", ("name", "role", "mfree"), None),
    lambda luxi, _, __: luxi.query("instance", ("name", "status", "oper_state"), None),
    lambda luxi, _, __: luxi.query("lock", ("name", "owner", "pending"), None),
    lambda luxi, _, __: luxi.query_fields("instance", None),
    lambda luxi, job, _: luxi.query_job_process(job),
    lambda luxi, job, chance: luxi.set_job_log_level(job, chance.choice(("debug", "info"))),
    lambda luxi, _, __: luxi.auto_archive_jobs(LONG_AGO_SECONDS, 10),
    lambda luxi, _, __: luxi.set_watcher_pause(None),
)


async def wonder(people: People) -> None:
    """Ask something now and then, until cancelled."""
    chance = chance_of(people.scenario, "curiosity")
    while True:
        await trio.sleep(chance.uniform(0.0, SECONDS_MAX))
        question, job = chance.choice(QUESTIONS), chance.choice([*people.jobs] or [1])
        await people.ask("a question", partial(_answer, question, job, chance))


async def decide(people: People) -> None:
    """Answer what jobs ask, again and again, until cancelled."""
    chance = chance_of(people.scenario, "decisions")
    while True:
        await trio.sleep(chance.uniform(0.0, SECONDS_MAX / 2))
        await people.ask("what is asked", partial(_decide, people, chance))


async def _decide(people: People, chance: random.Random, luxi: Luxi) -> object:
    for job, _, question in await luxi.query_questions():
        choice = chance.choice(CHOICES)
        people.redone += choice == "redo"  # before it is known whether that was heard
        people.cluster.timeline.say("people", f"{choice}: job {job} asks: {question}"[:200])
        await luxi.decide_job(job, choice)
    return True


async def _answer(question: Question, job: int, chance: random.Random, luxi: Luxi) -> object:
    return await question(luxi, job, chance)
