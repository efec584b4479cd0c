"""Where undoing would be guessing, nothing is undone: a migration whose nodes fall silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench, Ran
from tests.unit.operations.test_every_operation import MIGRATE, NEW, create
from tests.unit.operations.twin_cluster import TwinNode

from gantry.protocols.codec import Json
from gantry.protocols.errors import ConnectionLost, Unreachable
from gantry.protocols.noded import StepFailed
from gantry.protocols.opcodes.node import OpNodeCleanUp
from gantry.protocols.service import Method

Mishap = Callable[[TwinNode, str], Exception | None]
"""Says what is heard instead of a method's answer, after the node has acted."""


async def migrated(folder: Path, patch: pytest.MonkeyPatch, mishap: Mishap) -> tuple[JobBench, Ran]:
    bench = JobBench(folder)
    assert (await bench.run(create("sharedfile"))).statuses == {0: "success"}
    called = TwinNode.called

    async def breaking(node: TwinNode, method: Method, args: Mapping[str, Json]) -> Json:
        answer = await called(node, method, args)
        problem = mishap(node, method.name)
        if problem is not None:
            raise problem
        return answer

    patch.setattr(TwinNode, "called", breaking)
    return bench, await bench.run(MIGRATE)


def runs_on(bench: JobBench) -> list[str]:
    return [node.name for node in bench.cluster.all() if NEW in node.running]


def configured_on(bench: JobBench) -> str:
    configuration = bench.cluster.wconfd.state.configuration
    [instance] = [each for each in configuration.instances.values() if each.name == NEW]
    return configuration.nodes[instance.primary_node].name


async def test_a_node_that_falls_silent_is_asked_until_it_is_known_how_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    silences = [ConnectionLost("it went away"), Unreachable("nobody listens"), None]

    def mishap(_: TwinNode, method: str) -> Exception | None:
        return silences.pop(0) if method == "migrate_instance" else None

    bench, ran = await migrated(tmp_path, monkeypatch, mishap)
    assert ran.statuses == {0: "success"}, ran.results
    assert sum("asking again" in str(line) for line in ran.log) == 2
    assert runs_on(bench) == [configured_on(bench)] == ["node2.gnt.test"]


async def test_a_node_that_stays_silent_is_not_guessed_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    def mishap(_: TwinNode, method: str) -> Exception | None:
        return ConnectionLost("it went away") if method == "migrate_instance" else None

    bench, ran = await migrated(tmp_path, monkeypatch, mishap)
    assert ran.statuses == {0: "error"}
    assert not bench.cluster.wconfd.state.configuration.leftovers
    assert "nothing was undone, since step 'migrate'" in str(ran.results[0])
    assert "OpExecError" in str(ran.results[0])
    assert not [line for line in ran.log if str(line).startswith("undoing")]


async def test_a_node_that_was_never_asked_has_certainly_not_acted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    real, asked = TwinNode.called, []

    async def away(node: TwinNode, method: Method, args: Mapping[str, Json]) -> Json:
        if method.name == "migrate_instance":
            asked.append(method.name)
            raise Unreachable("nobody listens")
        return await real(node, method, args)

    monkeypatch.setattr(TwinNode, "called", away)
    bench, ran = await migrated(tmp_path, monkeypatch, lambda *_: None)
    assert ran.statuses == {0: "error"}
    assert asked == ["migrate_instance"]
    assert "nothing was undone" not in str(ran.results[0])
    assert runs_on(bench) == [configured_on(bench)] == ["node1.gnt.test"]


async def test_what_a_node_refuses_for_a_moment_is_tried_again_where_nothing_may_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    refusals = [StepFailed("no space left on device")] * 3

    def mishap(_: TwinNode, method: str) -> Exception | None:
        return refusals.pop() if method == "finish_migration" and refusals else None

    bench, ran = await migrated(tmp_path, monkeypatch, mishap)
    assert ran.statuses == {0: "success"}, ran.results
    assert sum("no space left on device; trying again" in str(line) for line in ran.log) == 1
    assert runs_on(bench) == [configured_on(bench)] == ["node2.gnt.test"]


async def test_what_fails_after_the_point_of_no_return_is_not_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    def mishap(node: TwinNode, method: str) -> Exception | None:
        at_target = node.name.startswith("node2")
        broken = method == "finish_migration" and at_target
        return StepFailed("it does not work") if broken else None

    bench, ran = await migrated(tmp_path, monkeypatch, mishap)
    assert ran.statuses == {0: "error"}
    assert "it does not work; nothing was undone" in str(ran.results[0])
    assert runs_on(bench) == [configured_on(bench)] == ["node2.gnt.test"]
    assert [node.name for node in bench.cluster.all() if NEW in node.shells] == ["node1.gnt.test"]
    cleaned = await bench.run(OpNodeCleanUp(node_name="node1.gnt.test"))
    assert cleaned.statuses == {0: "success"}, cleaned.results
    assert not [node.name for node in bench.cluster.all() if NEW in node.shells]
    assert runs_on(bench) == ["node2.gnt.test"]
