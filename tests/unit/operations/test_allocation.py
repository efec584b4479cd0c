"""Instance allocators: what they are shown, and what becomes of their answers and failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.operations.job_bench import JobBench, Ran
from tests.unit.operations.test_every_operation import NEW, create

from gantry.protocols.opcodes.instance import OpInstanceCreate
from gantry.protocols.opcodes.relocation import OpInstanceFailover, OpInstanceMigrate

CHOOSES = """#!/bin/sh
cp "$1" {seen}; shift; printf '%s\\n' "$@" >{arguments}
echo 'a warning for people' >&2
printf '{answer}'
"""


class Bench(JobBench):
    """A cluster whose master has an allocator that always answers the same."""

    @property
    def seen(self) -> Any:  # noqa: ANN401 - the JSON that the allocator read
        return json.loads((self.folder / "seen").read_text())

    def allocator(self, script: str, name: str = "first") -> None:
        folder = self.environment().paths.below("/usr/lib/ganeti/iallocators")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)

    def answers(self, answer: object) -> None:
        self.allocator(
            CHOOSES.format(
                seen=self.folder / "seen",
                arguments=self.folder / "arguments",
                answer=json.dumps(answer),
            )
        )

    def chooses(self, *nodes: str) -> None:
        self.answers({"success": True, "info": "", "result": nodes})

    def primary(self, name: str = NEW) -> str:
        configuration = self.cluster.wconfd.state.configuration
        found = next(i for i in configuration.instances.values() if i.name == name)
        return configuration.nodes[found.primary_node].name


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.chooses("node2.gnt.test")
    return bench


def allocated(template: str = "file", **more: object) -> OpInstanceCreate:
    return create(template, **{"pnode": None, "iallocator": "first", **more})


def why(ran: Ran) -> str:
    assert ran.statuses == {0: "error"}, ran.results
    return str(ran.results[0])


async def test_a_new_instance_goes_where_the_allocator_says(bench: Bench) -> None:
    ran = await bench.run(allocated())
    assert ran.statuses == {0: "success"}, ran.results
    assert ran.results[0] == ["node2.gnt.test"]
    assert bench.primary() == "node2.gnt.test"
    assert "chose node node2.gnt.test" in str(ran.log)


async def test_it_is_told_what_is_wanted(bench: Bench) -> None:
    await bench.run(allocated(tags=("web",), beparams={"maxmem": 200, "vcpus": 3}))
    request = bench.seen["request"]
    assert {
        "type": "allocate",
        "name": NEW,
        "disk_template": "file",
        "memory": 200,
        "vcpus": 3,
        "tags": ["web"],
        "disk_space_total": 3072,
        "required_nodes": 1,
        "hypervisor": "fake",
    }.items() <= request.items()
    assert [disk["size"] for disk in request["disks"]] == [1024, 2048]


async def test_it_is_shown_what_nodes_have(bench: Bench) -> None:
    await bench.run(create(beparams={"maxmem": 300}))
    await bench.run(allocated(instance_name="second.gnt.test"))
    node = bench.seen["nodes"]["node1.gnt.test"]
    assert (node["total_memory"], node["reserved_memory"]) == (8192, 512)
    assert node["i_pri_up_memory"] == 300 + 64, "the new one and the sample's"
    assert node["free_disk"] == 10**6
    assert bench.seen["instances"][NEW]["nodes"] == ["node1.gnt.test"]
    assert bench.seen["version"] == 2


async def test_shared_files_take_no_space_of_a_node(bench: Bench) -> None:
    await bench.run(allocated("sharedfile"))
    assert bench.seen["nodes"]["node1.gnt.test"]["free_disk"] == 0


async def test_the_clusters_default_is_used_when_nobody_says_more(bench: Bench) -> None:
    bench.allocator("#!/bin/sh\nexit 3\n", "hail")
    bench.cluster.use(default_iallocator="first", default_iallocator_params={"fast": None, "n": 2})
    ran = await bench.run(allocated(iallocator=None))
    assert ran.statuses == {0: "success"}, ran.results
    assert (bench.folder / "arguments").read_text().split() == ["--fast", "--n=2"]


async def test_relocation_asks_for_another_node(bench: Bench) -> None:
    await bench.run(create("sharedfile"))
    ran = await bench.run(OpInstanceMigrate(instance_name=NEW, iallocator="first"))
    assert ran.statuses == {0: "success"}, ran.results
    assert bench.primary() == "node2.gnt.test"
    request = bench.seen["request"]
    assert (request["type"], request["relocate_from"]) == ("relocate", ["node1.gnt.test"])
    bench.chooses("node1.gnt.test")
    await bench.run(OpInstanceFailover(instance_name=NEW, iallocator="first"))
    assert bench.primary() == "node1.gnt.test"


async def test_no_place_is_an_error_with_the_allocators_words(bench: Bench) -> None:
    bench.answers({"success": False, "info": "all are full", "result": []})
    assert "all are full" in why(await bench.run(allocated()))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"success": True}, "answers with success, info and result"),
        ({"success": True, "info": "", "result": ["a", "b"]}, "asked for 1 nodes"),
        ({"success": True, "info": "", "result": ["nowhere"]}, "not known"),
    ],
)
async def test_nonsense_is_refused(bench: Bench, answer: object, text: str) -> None:
    bench.answers(answer)
    assert text in why(await bench.run(allocated()))


async def test_a_failing_allocator_is_quoted(bench: Bench) -> None:
    bench.allocator("#!/bin/sh\necho broken >&2\nexit 3\n")
    assert "failed with status 3: broken" in why(await bench.run(allocated()))


@pytest.mark.parametrize("name", ["missing", "../first", "."])
async def test_only_files_of_the_allocators_folders_are_run(bench: Bench, name: str) -> None:
    bench.cluster.use(default_iallocator="..")
    assert "there is no instance allocator" in why(await bench.run(allocated(iallocator=name)))


async def test_a_silent_node_is_no_guess(bench: Bench) -> None:
    bench.dead = {"node3.gnt.test"}
    assert "node3.gnt.test does not say" in why(await bench.run(allocated()))


async def test_node_and_allocator_contradict_each_other(bench: Bench) -> None:
    both = allocated(pnode="node1.gnt.test")
    assert "not both" in why(await bench.run(both))


async def test_nothing_of_the_call_stays_behind(bench: Bench) -> None:
    await bench.run(allocated())
    assert list(bench.environment().paths.run.glob("ganeti-iallocator*")) == []
