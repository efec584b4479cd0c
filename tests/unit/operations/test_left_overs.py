"""What can not be undone is noted, kept from other jobs, and cleaned up when its node is back."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from attrs import evolve
from tests.unit.operations.job_bench import JobBench, Ran
from tests.unit.operations.test_every_operation import MIGRATE, NEW, create
from tests.unit.operations.twin_cluster import TwinNodeLinks

from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpNodeCleanUp, OpNodeRemove
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.service import Method

NODE = "node1.gnt.test"
CLEAN_UP = OpNodeCleanUp(node_name=NODE)


def left_over(bench: JobBench) -> list[Leftover]:
    return list(bench.cluster.wconfd.state.configuration.leftovers.values())


async def abandoned(
    folder: Path,
    patch: pytest.MonkeyPatch,
    *opcodes: Opcode,
    at: str = "create_os",
    node_name: str = NODE,
) -> tuple[JobBench, Ran]:
    """Have a node die for good at a call of the last job; by default while it installs."""
    bench = JobBench(folder)
    *before, last = opcodes or (create(),)
    for opcode in before:
        assert (await bench.run(opcode)).statuses == {0: "success"}
    real = TwinNodeLinks._way_to
    died = trio.Event()

    async def dying(links: TwinNodeLinks, node: Node, seconds: float, *more: object) -> object:
        way = await real(links, node, seconds, *more)  # type: ignore[arg-type] # as it came

        async def called(name: str, method: Method, args: dict[str, object]) -> object:
            if method.name == at and node.name == node_name:
                died.set()
                links.dead.add(node.uuid)
            return await way(name, method, args)

        return called

    with patch.context() as patched:
        patched.setattr(TwinNodeLinks, "_way_to", dying)
        ran = await bench.run(last)
    assert died.is_set()
    return bench, ran


async def test_what_an_unreachable_node_keeps_is_noted_and_the_job_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    bench, ran = await abandoned(tmp_path, monkeypatch)
    assert ran.statuses == {0: "error"}
    result = str(ran.results[0])
    assert "create disk 0 could not be undone" in result
    assert "noted as a left-over; it is cleaned up when the node answers" in result
    noted = left_over(bench)
    assert sorted((each.object_kind, each.object_name, each.method) for each in noted) == [
        ("instance", NEW, "abandon"),  # the script may still be at work
        ("instance", NEW, "remove_disk"),
        ("instance", NEW, "remove_disk"),
    ]
    assert {each.job for each in noted} == {1}
    assert NEW not in str(bench.cluster.wconfd.state.configuration.instances)


async def test_no_job_uses_the_object_there_before_it_is_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    bench, _ = await abandoned(tmp_path, monkeypatch)
    refused = await bench.run(create())
    assert refused.statuses == {0: "error"}
    assert "still has a part of instance new.gnt.test that job 1 could not remove" in str(
        refused.results[0]
    )
    elsewhere = await bench.run(create(pnode="node2.gnt.test"))
    assert elsewhere.statuses == {0: "success"}, elsewhere.results


async def test_the_node_is_cleaned_up_and_then_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    bench, _ = await abandoned(tmp_path, monkeypatch)
    node = next(each for each in bench.cluster.all() if each.name == NODE)
    left = {each.args["disk"]["path"] for each in left_over(bench) if each.args}  # type: ignore[index] # a disk
    assert left <= set(node.disks)
    cleaned = await bench.run(CLEAN_UP)
    assert cleaned.statuses == {0: "success"}, cleaned.results
    assert cleaned.results[0] == [f"instance {NEW}"] * 3
    assert left_over(bench) == []
    assert left.isdisjoint(node.disks)
    assert not node.begun
    assert (await bench.run(create())).statuses == {0: "success"}


async def test_what_the_node_never_did_is_not_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """The same name may be somebody else's there: the key tells."""
    bench, _ = await abandoned(tmp_path, monkeypatch)
    node = next(each for each in bench.cluster.all() if each.name == NODE)
    node.begun.clear()
    node.answers.clear()
    before = dict(node.disks)
    assert (await bench.run(CLEAN_UP)).statuses == {0: "success"}
    assert node.disks == before
    assert left_over(bench) == []


async def test_a_guest_that_has_moved_leaves_no_shell_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """Its old node dies before it can be told: the move is a success, and that is told later."""
    bench, ran = await abandoned(
        tmp_path, monkeypatch, create("sharedfile"), MIGRATE, at="finish_migration"
    )
    assert ran.statuses == {0: "success"}, ran.results
    assert "finish on the source" in str(ran.log)
    assert "noted as a left-over; it is done when the node answers" in str(ran.log)
    node = next(each for each in bench.cluster.all() if each.name == NODE)
    assert node.shells == {NEW}
    back = await bench.run(evolve(MIGRATE, target_node=NODE))
    assert "still has a part of instance new.gnt.test" in str(back.results[0])
    assert (await bench.run(CLEAN_UP)).statuses == {0: "success"}
    assert node.shells == set()
    assert left_over(bench) == []
    assert (await bench.run(evolve(MIGRATE, target_node=NODE))).statuses == {0: "success"}


@pytest.mark.parametrize("moment", range(1, 10))
async def test_a_clean_up_that_is_killed_goes_on(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    bench, _ = await abandoned(tmp_path, monkeypatch)
    ran = await bench.run(CLEAN_UP, kill_after=moment)
    assert ran.statuses == {0: "success"}, ran.results
    assert left_over(bench) == []


async def test_a_clean_node_has_nothing_to_clean_up(tmp_path: Path) -> None:
    bench = JobBench(tmp_path)
    ran = await bench.run(CLEAN_UP)
    assert ran.statuses == {0: "success"}
    assert ran.results == {0: []}


async def test_a_node_that_is_removed_leaves_nothing_where_others_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """It never comes back to clean up, so another node does, before nobody knows of it any more."""
    third = "node3.gnt.test"
    new = create("sharedfile", pnode=third)
    bench, _ = await abandoned(tmp_path, monkeypatch, new, node_name=third)
    left = {each.args["disk"]["path"] for each in left_over(bench) if each.args}  # type: ignore[index] # a disk
    assert left
    assert left <= set(bench.cluster.shared)
    bench.dead = {third}
    removed = await bench.run(OpNodeRemove(node_name=third))
    assert removed.statuses == {0: "success"}, removed.results
    assert left.isdisjoint(bench.cluster.shared)
    assert left_over(bench) == []
