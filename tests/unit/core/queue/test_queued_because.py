"""What a queued job waits for, as people are told."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from tests.unit.core.queue.test_machine import NOW, Bench, delay

from gantry.core.queue.happenings import SetPaused, SetQueuePaused
from gantry.core.queue.job_filters import JobFilters
from gantry.core.queue.queued_because import queued_because
from gantry.protocols.identity import FilterUuid, JobId
from gantry.protocols.objects.filter import FilterRule


def told(bench: Bench, job: JobId) -> str | None:
    return queued_because(bench.queue, bench.queue.entries[job], bench.rules)


def pause_job(bench: Bench) -> JobId:
    job = bench.submit(delay())
    bench.do(SetPaused(job, paused=True, at=NOW))
    return job


def pause_queue(bench: Bench) -> JobId:
    bench.do(SetQueuePaused(paused=True))
    return bench.submit(delay())


def depend(bench: Bench) -> JobId:
    bench.submit(delay())
    return bench.submit(delay(depends=[[-1, []]]))


def fill(bench: Bench) -> JobId:
    for _ in range(bench.rules.running_max):
        bench.submit(delay())
    bench.tick()
    return bench.submit(delay())


def limit(bench: Bench) -> JobId:
    limited = delay(reason=[["gnt:user", "rate-limit:1:x", 1]])
    bench.submit(limited)
    bench.tick()
    return bench.submit(limited)


@pytest.mark.parametrize(
    ("situation", "text"),
    [
        (pause_job, "it is paused; to let it begin: gnt-job resume 1"),
        (pause_queue, "the queue is paused; to let jobs begin: gnt-cluster queue resume"),
        (depend, "it depends on what becomes of jobs 1"),
        (fill, "2 jobs are at work, and no more than 2 may be"),
        (limit, "a rate limit, by its reason trail or a filter rule"),
    ],
)
def test_the_reason_is_told_and_it_holds(situation: Callable[[Bench], JobId], text: str) -> None:
    bench = Bench()
    job = situation(bench)
    assert job not in bench.tick()
    assert str(told(bench, job)).startswith(text)


def test_a_rule_that_pauses_jobs_is_named() -> None:
    bench = Bench()
    rule = FilterRule(
        uuid=FilterUuid("some-rule"),
        watermark=JobId(0),
        priority=0,
        predicates=(),
        action="PAUSE",
        reason_trail=(),
    )
    bench.rules = attrs.evolve(bench.rules, filters=JobFilters.of([rule]))
    job = bench.submit(delay())
    assert bench.tick() == []
    assert "some-rule pauses it" in str(told(bench, job))


def test_a_job_that_has_begun_is_not_asked() -> None:
    bench = Bench()
    job = bench.submit(delay())
    assert told(bench, job) == "it is about to begin"
    bench.tick()
    assert told(bench, job) is None
