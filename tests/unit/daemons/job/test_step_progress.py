"""A call that takes long is asked how far it is; one that does not is not."""

from __future__ import annotations

from pathlib import Path

from tests.unit.operations.job_bench import JobBench

from gantry.protocols.opcodes.testing import OpTestDelay


async def test_a_long_call_tells_how_far_it_is(tmp_path: Path, autojump_clock: object) -> None:
    bench = JobBench(tmp_path)
    slow = OpTestDelay(duration=4.5, on_master=False, on_nodes=("node2.gnt.test",))
    ran = await bench.run(slow)
    assert ran.statuses == {0: "success"}
    done = [each.done for each in ran.progress]
    assert done == sorted(set(done))
    assert done[0] == 1.0
    quick = OpTestDelay(duration=0.1, on_master=False, on_nodes=("node2.gnt.test",))
    assert (await bench.run(quick)).progress == []
