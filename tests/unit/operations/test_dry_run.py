"""A dry run of any operation changes nothing, and tells the steps that a real run takes."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from tests.unit.operations.test_every_operation import SCENARIOS, is_clean, prepared

from gantry.core.queue.outline import outline
from gantry.protocols.steps import Planned


@pytest.mark.parametrize("name", SCENARIOS)
async def test_it_changes_nothing_and_tells_the_truth(
    name: str, tmp_path: Path, autojump_clock: object
) -> None:
    before, opcode = SCENARIOS[name]
    bench = await prepared(tmp_path, before)
    begun, index = bench.cluster.picture(), bench.cluster.wconfd.state.index
    ran = await bench.run(attrs.evolve(opcode, dry_run=True))
    assert ran.statuses == {0: "success"}, ran.results
    assert ran.results == {0: None}
    assert ran.records == []
    assert ran.submitted == []
    assert bench.cluster.picture() == begun
    assert bench.cluster.wconfd.state.index == index
    assert is_clean(bench)
    (shown,) = ran.shown
    real = await bench.run(opcode)
    planned = [record.plan for record in real.records if isinstance(record, Planned)]
    told = [outline(plan) for plan in planned]
    assert [each for each in [shown.plan] if each.steps] == told  # no step: nothing is recorded
    texts = [str(line) for line in ran.log if str(line).startswith("would do: ")]
    assert texts == [f"would do: {step.name}" for step in shown.plan.steps]
