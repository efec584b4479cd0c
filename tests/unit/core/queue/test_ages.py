"""How long ago jobs came, as a master can tell that was not there always."""

from __future__ import annotations

from gantry.core.queue.ages import LOOK_SECONDS, SENDING_SECONDS, Ages
from gantry.core.queue.state import NO_JOB
from gantry.protocols.identity import JobId


def test_what_a_master_finds_is_old_when_it_has_led_for_so_long() -> None:
    ages = Ages()
    assert ages.look(1000.0, JobId(7)) == NO_JOB
    assert ages.look(1000.0 + SENDING_SECONDS - 1, JobId(9)) == NO_JOB
    assert ages.look(1000.0 + SENDING_SECONDS, JobId(9)) == JobId(7)


def test_jobs_grow_old_one_after_the_other() -> None:
    ages = Ages()
    for second in range(3600):
        old = ages.look(float(second), JobId(second))
        true = max(second - SENDING_SECONDS, 0)
        assert true - LOOK_SECONDS <= old <= true
    assert len(ages._looks) <= SENDING_SECONDS / LOOK_SECONDS + 2
