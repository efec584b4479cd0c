"""Operations that only ask: the shapes of their results are what Ganeti's clients take apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.test_every_operation import NEW, create

from gantry.protocols.opcodes.cluster import OpClusterConfigQuery, OpClusterQuery
from gantry.protocols.opcodes.instance import OpInstanceQueryData
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.os_definitions import OpOsDiagnose
from gantry.protocols.opcodes.query import OpQuery, OpQueryFields
from gantry.protocols.opcodes.tags import OpTagsSearch, OpTagsSet
from gantry.protocols.opcodes.verification import OpClusterVerifyDisks, OpGroupVerifyDisks


async def answer(bench: JobBench, opcode: Opcode) -> Any:  # noqa: ANN401 - JSON, taken apart by tests
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "success"}, ran.results
    return ran.results[0]


async def refusal(bench: JobBench, opcode: Opcode) -> str:
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "error"}
    return str(ran.results[0])


@pytest.fixture
def bench(tmp_path: Path) -> JobBench:
    return JobBench(tmp_path)


async def test_a_query_returns_definitions_and_cells(bench: JobBench) -> None:
    found = await answer(bench, OpQuery(what="cluster", fields=("name", "drain_flag", "nope")))
    assert [each["kind"] for each in found["fields"]] == ["text", "bool", "unknown"]
    name = bench.cluster.wconfd.state.configuration.cluster.cluster_name
    assert found["data"] == [[[0, name], [0, False], [1, None]]]


async def test_the_queue_tells_its_settings_by_its_files(bench: JobBench) -> None:
    data = bench.environment().paths.data
    (data / "queue/drain").touch()
    (data / "watcher.pause").write_text("2000000060\n")
    found = await answer(bench, OpQuery(what="cluster", fields=("drain_flag", "watcher_pause")))
    assert found["data"] == [[[0, True], [0, 2000000060]]]
    values = OpClusterConfigQuery(output_fields=("watcher_pause", "volume_group_name"))
    assert (await answer(bench, values))[0] == 2000000060


async def test_os_definitions_are_rows_too(bench: JobBench) -> None:
    fields = ("name", "valid", "variants")
    found = await answer(bench, OpQuery(what="os", fields=fields))
    assert found["data"] == [[[0, "noop"], [0, True], [0, []]]]
    one = OpQuery(what="os", fields=("name",), qfilter=("|", ["==", "name", "other"]))
    assert "other" in await refusal(bench, one)
    assert (await answer(bench, OpOsDiagnose(output_fields=("name",)))) == [["noop"]]


async def test_a_dead_node_costs_its_own_fields_only(bench: JobBench) -> None:
    bench.dead.add("node2.gnt.test")
    query = OpQuery(what="node", fields=("name", "mfree"))
    found = {name: free for (_, name), free in (await answer(bench, query))["data"]}
    assert found["node1.gnt.test"] == [0, 4096]
    assert found["node2.gnt.test"] == [2, None]


async def test_an_instances_status_needs_its_node(bench: JobBench) -> None:
    await answer(bench, create())
    query = OpQuery(what="instance", fields=("name", "status"), qfilter=("=", "name", NEW))
    assert (await answer(bench, query))["data"] == [[[0, NEW], [0, "running"]]]


@pytest.mark.parametrize("what", ["job", "lock", "filter"])
async def test_what_is_luxids_is_asked_over_luxi(bench: JobBench, what: str) -> None:
    query = OpQuery(what=what, fields=("name",))  # type: ignore[arg-type] # a literal
    assert "over LUXI" in await refusal(bench, query)


async def test_a_filter_that_is_none_is_refused(bench: JobBench) -> None:
    query = OpQuery(what="node", fields=("name",), qfilter=("%", "name"))
    assert "unknown filter operator" in await refusal(bench, query)


async def test_external_storage_has_fields_and_no_provider(bench: JobBench) -> None:
    found = await answer(bench, OpQueryFields(what="extstorage"))
    names = [each["name"] for each in found["fields"]]
    assert names == ["name", "node_status", "nodegroup_status", "parameters"]
    assert (await answer(bench, OpQuery(what="extstorage", fields=("name",))))["data"] == []


async def test_the_cluster_is_described_as_over_luxi(bench: JobBench) -> None:
    found = await answer(bench, OpClusterQuery())
    assert found["protocol_version"] == 3_000_000
    assert found["master"] == "node1.gnt.test"
    assert found["architecture"]


async def test_tags_are_found_by_a_part_of_them(bench: JobBench) -> None:
    await answer(bench, OpTagsSet(kind="cluster", tags=("search:me",)))
    await answer(bench, OpTagsSet(kind="node", name="node1", tags=("research",)))
    found = await answer(bench, OpTagsSearch(pattern="search"))
    assert found == [["/cluster", "search:me"], ["/nodes/node1.gnt.test", "research"]]
    assert "regular expression" in await refusal(bench, OpTagsSearch(pattern="("))


async def test_an_instances_details_have_ganetis_shape(bench: JobBench) -> None:
    await answer(bench, create())
    found = (await answer(bench, OpInstanceQueryData(instances=(NEW,))))[NEW]
    assert found["config_state"] == found["run_state"] == "up"
    assert (found["pnode"], found["snodes"]) == ("node1.gnt.test", [])
    assert found["pnode_group_name"] == "default"
    assert found["be_actual"]["maxmem"]
    assert "maxmem" not in found["be_instance"]
    assert [disk["iv_name"] for disk in found["disks"]] == ["disk/0", "disk/1"]
    path, *rest = found["disks"][0]["pstatus"]
    assert found["disks"][0]["logical_id"][1] == path
    assert rest == [None, None, None, None, False, 1]
    assert len(found["nics"][0]) == 9


async def test_static_details_ask_no_node(bench: JobBench) -> None:
    await answer(bench, create())
    bench.dead = {node.name for node in bench.cluster.all()}
    found = (await answer(bench, OpInstanceQueryData(static=True)))[NEW]
    assert found["run_state"] is None
    assert found["disks"][0]["pstatus"] is None


async def test_an_instance_that_should_run_and_does_not_is_down(bench: JobBench) -> None:
    await answer(bench, create())
    bench.cluster.all()[0].running.clear()
    details = OpInstanceQueryData(instances=(NEW,))
    for node in bench.cluster.all():
        node.running.clear()
    assert (await answer(bench, details))[NEW]["run_state"] == "down"


async def test_lost_disks_are_found_by_group(bench: JobBench) -> None:
    await answer(bench, create())
    every_group = await answer(bench, OpClusterVerifyDisks())
    groups = bench.cluster.wconfd.state.configuration.nodegroups
    assert every_group == {"jobs": [[True, 100 + n] for n in range(len(groups))]}
    look = OpGroupVerifyDisks(group_name="default")
    assert NEW not in (await answer(bench, look))[1]
    for node in bench.cluster.all():
        node.disks.clear()
    assert NEW in (await answer(bench, look))[1]
    bench.dead = {"node1.gnt.test"}
    errors, _, volumes = await answer(bench, look)
    assert list(errors.values()) == ["no answer"]
    assert volumes == {}
