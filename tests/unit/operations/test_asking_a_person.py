"""Where nobody but a person knows how to go on, the job asks, waits, and does as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from tests.unit.operations.job_bench import JobBench, Ran

from gantry.operations.test import delay
from gantry.protocols.jobs import Choice
from gantry.protocols.opcodes.testing import OpTestDelay
from gantry.protocols.steps import Asked, Kind, Plan, Planned

DELAY = OpTestDelay(duration=0.0, on_master=False, on_nodes=("node2.gnt.test", "node3.gnt.test"))
"""Two steps, each a call to a node."""

FIRST_STARTED = 3
"""The records until then: what is held, the plan, and that the first step is about to act."""


@contextmanager
def planning(
    monkeypatch: pytest.MonkeyPatch, kind: Kind = "idempotent", **changes: object
) -> Iterator[None]:
    """Have the operation make its plans and steps differently."""
    operation = delay.OPERATION

    async def plan(opcode: OpTestDelay, world: object) -> Plan:
        made: Plan = await operation.plan(opcode, world)  # type: ignore[arg-type] # a world
        steps = tuple(attrs.evolve(step, kind=kind) for step in made.steps)
        return attrs.evolve(made, steps=steps, **changes)  # type: ignore[arg-type] # by name

    with monkeypatch.context() as patch:
        patch.setattr(delay, "OPERATION", attrs.evolve(operation, plan=plan))
        yield


def asked(ran: Ran) -> list[int | None]:
    return [record.step for record in ran.records if isinstance(record, Asked)]


@pytest.mark.parametrize(
    ("choice", "status", "calls"), [("skip", "success", 2), ("redo", "success", 3),
                                    ("abort", "error", 1)],
)  # fmt: skip
async def test_what_must_happen_once_is_neither_repeated_nor_forgotten(
    choice: Choice, status: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = JobBench(tmp_path)
    bench.cluster.fate.mishap, bench.cluster.fate.at_do = "interrupted after", 1
    with planning(monkeypatch, kind="once"):
        ran = await bench.run(DELAY, choice=choice)
    assert ran.statuses == {0: status}, ran.results
    assert asked(ran) == [0]
    assert bench.cluster.fate.dos == calls
    assert any("waiting for a decision" in str(line) for line in ran.log)
    assert (status == "error") == ("aborted by decision" in str(ran.results[0]))


async def test_a_process_that_dies_while_it_waits_does_not_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = JobBench(tmp_path)
    bench.cluster.fate.mishap, bench.cluster.fate.at_do = "interrupted after", 1
    with planning(monkeypatch, kind="once"):
        ran = await bench.run(DELAY, kill_after=FIRST_STARTED + 1, choice="redo")
    assert ran.statuses == {0: "success"}, ran.results
    assert asked(ran) == [0]


async def test_cancelled_while_it_waits_the_job_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = JobBench(tmp_path)
    bench.cluster.fate.mishap, bench.cluster.fate.at_do = "interrupted after", 1
    with planning(monkeypatch, kind="once"):
        ran = await bench.run(DELAY, cancel_after=FIRST_STARTED + 1)
    assert ran.statuses == {0: "canceled"}, ran.results


async def dies_and_finds(
    bench: JobBench, monkeypatch: pytest.MonkeyPatch, choice: Choice | None, **changes: object
) -> Ran:
    """Run a job whose process dies in its first step, and whose plan is not what it would be."""
    with planning(monkeypatch, "idempotent", **changes):
        return await bench.run(DELAY, kill_after=FIRST_STARTED, choice=choice)


@pytest.mark.parametrize(("choice", "status"), [("skip", "success"), ("abort", "error")])
async def test_a_plan_of_another_version_is_asked_about(
    choice: Choice, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = await dies_and_finds(JobBench(tmp_path), monkeypatch, choice, version=7)
    assert ran.statuses == {0: status}, ran.results
    assert asked(ran) == [None]
    question = next(record.question for record in ran.records if isinstance(record, Asked))
    assert "of version 7, this version of Gantry makes 1" in question
    assert [type(record) for record in ran.records].count(Planned) == 1


async def test_a_plan_of_an_unknown_operation_can_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = JobBench(tmp_path)
    real = bench.when_killed

    def downgraded() -> None:
        real()
        monkeypatch.setattr("gantry.operations.registry.OPERATIONS", {})

    bench.when_killed = downgraded
    ran = await bench.run(DELAY, kill_after=FIRST_STARTED, choice="abort")
    assert ran.statuses == {0: "error"}, ran.results
    assert "this version does not know OP_TEST_DELAY" in str(ran.results[0])
    assert asked(ran) == [None]
