"""The check of what clients hear can fail, and does not where a status was only missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulation.statuses import MOVES, NotAllowed, check_change, derived

from gantry.core.queue.transitions import ALLOWED
from gantry.protocols.jobs import job_status


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["success", ["success"]], ["running", ["running"]]),
        (["error", ["success", "error"]], ["success", ["success", "success"]]),
        (["running", ["running"]], ["queued", ["queued"]]),
        (["running", ["running"]], ["waiting", ["waiting"]]),
        (["running", ["success", "running"]], ["running", ["running", "queued"]]),
        (["canceling", ["canceling"]], ["success", ["success"]]),
    ],
)
def test_what_was_told_is_never_taken_back(before: list[object], after: list[object]) -> None:
    with pytest.raises(NotAllowed, match="job 7 went from"):
        check_change(7, before, after)


@pytest.mark.parametrize(
    "seen",
    [
        ["success", ["success", "running"]],
        ["queued", ["success", "success"]],
        ["running", ["running", "running"]],
        ["running", ["queued", "running"]],
        ["error", ["error", "success"]],
        ["error", ["error", "queued"]],
        ["canceled", ["canceled", "error"]],
    ],
)
def test_statuses_that_do_not_go_together(seen: list[object]) -> None:
    with pytest.raises(NotAllowed, match=r"job 7 (is|has)"):
        check_change(7, None, seen)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ["running", ["running"]]),
        (["queued", ["queued"]], ["success", ["success"]]),
        (["running", ["success", "running"]], ["error", ["success", "error"]]),
        (["running", ["running", "queued"]], ["queued", ["success", "queued"]]),
        (["waiting", ["waiting", "queued"]], ["canceled", ["canceled", "canceled"]]),
    ],
)
def test_a_client_need_not_hear_of_every_status(
    before: list[object] | None, after: list[object]
) -> None:
    check_change(7, before, after)


def test_the_product_has_the_same_table() -> None:
    assert {**ALLOWED} == {**MOVES}


@given(st.lists(st.sampled_from(sorted(ALLOWED)), max_size=5))
def test_a_jobs_status_is_derived_as_in_the_product(op_statuses: list[str]) -> None:
    assert derived(op_statuses) == job_status(op_statuses)  # type: ignore[arg-type] # all of them are
