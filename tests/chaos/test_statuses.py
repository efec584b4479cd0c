"""The check of what clients hear can fail, and does not where a status was only missed."""

from __future__ import annotations

import pytest
from tests.chaos.statuses import NotAllowed, check_change


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["success", ["success"]], ["running", ["running"]]),
        (["error", ["success", "error"]], ["success", ["success", "success"]]),
        (["running", ["running"]], ["queued", ["queued"]]),
        (["running", ["success", "running"]], ["running", ["running", "running"]]),
    ],
)
def test_what_was_told_is_never_taken_back(before: list[object], after: list[object]) -> None:
    with pytest.raises(NotAllowed, match="job 7 went from"):
        check_change(7, before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, ["running", ["running"]]),
        (["queued", ["queued"]], ["success", ["success"]]),
        (["running", ["success", "running"]], ["error", ["success", "error"]]),
        (["running", ["success", "waiting"]], ["waiting", ["success", "waiting"]]),
    ],
)
def test_a_client_need_not_hear_of_every_status(
    before: list[object] | None, after: list[object]
) -> None:
    check_change(7, before, after)
