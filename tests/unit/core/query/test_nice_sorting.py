"""Names are sorted as people count."""

import pytest

from gantry.core.query.sorting import nice_key


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["node10", "node9", "node1"], ["node1", "node9", "node10"]),
        (["a2b10", "a2b9", "a10b1"], ["a2b9", "a2b10", "a10b1"]),
        (["b", "1", "a", "10", "2"], ["1", "2", "10", "a", "b"]),
        (["x.example", "x"], ["x", "x.example"]),
        (["job-007", "job-7", "job-06"], ["job-06", "job-007", "job-7"]),
        (["", "a"], ["", "a"]),
        (["disk/10", "disk/9"], ["disk/9", "disk/10"]),
    ],
)
def test_runs_of_digits_count_as_numbers(names: list[str], expected: list[str]) -> None:
    assert sorted(names, key=nice_key) == expected
