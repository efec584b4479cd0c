"""What people ask the cluster besides: calls that change nothing, or nothing that is looked at."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio
from tests.simulation.people import People
from tests.simulation.scenario import chance_of

from gantry.protocols.luxi import Luxi

SECONDS_MAX: Final = 40.0
"""Between two questions."""

LONG_AGO_SECONDS: Final = 10**6
"""No job is as old: people archive theirs one by one."""

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
    lambda luxi, _, __: luxi.query_questions(),
    lambda luxi, job, _: luxi.query_job_process(job),
    lambda luxi, job, chance: luxi.set_job_log_level(job, chance.choice(("debug", "info"))),
    lambda luxi, job, chance: luxi.decide_job(job, chance.choice(("skip", "redo", "abort"))),
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


async def _answer(question: Question, job: int, chance: random.Random, luxi: Luxi) -> object:
    return await question(luxi, job, chance)
