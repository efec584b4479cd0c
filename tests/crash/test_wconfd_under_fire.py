"""SIGKILL of WConfD at any moment under load: no acknowledged change is lost, none made twice."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.crash.wconfd_under_fire import prepared

KILLS = 30
SEED = 3


def test_every_acknowledged_change_is_there_once() -> None:
    with tempfile.TemporaryDirectory(prefix="fire-") as folder:
        under_fire = prepared(Path(folder), SEED)
        under_fire.fire(KILLS)
        assert under_fire.kills == KILLS
        assert under_fire.acknowledged > KILLS
        assert under_fire.found_made + under_fire.found_unmade > 0
