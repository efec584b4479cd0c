"""A line is as one that sorts all who are in it, whenever it is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gantry.core.queue.line import LEFT_MAX, Line, Rank
from gantry.protocols.identity import JobId

JOBS = st.integers(1, 12).map(JobId)
CHANGES = st.lists(st.tuples(JOBS, st.none() | st.integers(-2, 2)), max_size=80)


@given(CHANGES)
def test_a_line_is_in_order_after_any_changes(changes: list[tuple[JobId, int | None]]) -> None:
    line, plain = Line(), dict[JobId, Rank]()
    for job, priority in changes:
        before, known = line, sorted(plain.values())
        rank = None if priority is None else (priority, job)
        line = line.with_rank(job, rank)
        if rank is None:
            plain.pop(job, None)
        else:
            plain[job] = rank
        assert list(line.in_order()) == sorted(plain.values())
        assert sorted(line) == sorted(plain)
        assert len(line) == len(plain)
        assert list(before.in_order()) == known


def test_a_line_that_does_not_change_is_the_same() -> None:
    line = Line().with_rank(JobId(1), (0, JobId(1)))
    assert line.with_rank(JobId(1), (0, JobId(1))) is line
    assert line.with_rank(JobId(2), None) is line


def test_those_who_have_left_are_forgotten() -> None:
    line = Line().with_rank(JobId(1), (-1, JobId(1)))
    for turn in range(1000):
        line = line.with_rank(JobId(2), (turn, JobId(2)))
        assert line.in_heap <= 2 * len(line) + LEFT_MAX
