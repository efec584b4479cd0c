"""The ssconf values of Ganeti's sample configuration are the ones that Ganeti wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.core.config.small_cluster import sample

from gantry.core.ssconf import FILE_PREFIX, ssconf_values

WRITTEN = {
    path.name.removeprefix(FILE_PREFIX): path.read_text()
    for path in Path("tests/facts/samples/ssconf").iterdir()
}
IN_NO_ORDER = {"master_candidates", "master_candidates_ips"}
"""Ganeti lists candidates as its map happens to; only both files' order must agree."""


def test_there_are_the_same_keys() -> None:
    assert ssconf_values(sample()).keys() == WRITTEN.keys()
    assert len(WRITTEN) == 34


@pytest.mark.parametrize("key", sorted(WRITTEN))
def test_a_value_is_ganetis(key: str) -> None:
    ours, theirs = ssconf_values(sample())[key], WRITTEN[key].rstrip("\n")
    if key in IN_NO_ORDER:
        assert sorted(ours.split("\n")) == sorted(theirs.split("\n"))
    else:
        assert ours == theirs
