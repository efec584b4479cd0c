"""The cluster's settings: what is stored, what goes back to defaults, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench

from gantry.operations.node.roles import role_of
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.opcodes.cluster import OpClusterSetParams
from gantry.protocols.opcodes.node import OpNodeSetParams
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.secrecy import Private


@pytest.fixture
def bench(tmp_path: Path) -> JobBench:
    return JobBench(tmp_path)


async def done(bench: JobBench, opcode: Opcode) -> Cluster:
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "success"}, ran.results
    return bench.cluster.wconfd.state.configuration.cluster


def modify(**settings: object) -> OpClusterSetParams:
    return OpClusterSetParams(**settings)  # type: ignore[arg-type] # by name


async def test_full_sets_of_parameters_stay_full(bench: JobBench) -> None:
    before = bench.cluster.wconfd.state.configuration.cluster
    after = await done(
        bench,
        modify(
            beparams={"memory": "1G"},
            hvparams={"kvm": {"kernel_path": "/boot/other"}},
            nicparams={"link": "br7"},
            ndparams={"spindle_count": 4},
            diskparams={"plain": {"stripes": 3}},
        ),
    )
    assert after.beparams["default"]["maxmem"] == 1024
    assert after.beparams["default"].keys() == before.beparams["default"].keys()
    assert after.hvparams["kvm"].keys() == before.hvparams["kvm"].keys()
    assert after.nicparams["default"]["link"] == "br7"
    assert (after.ndparams["spindle_count"], after.diskparams["plain"]["stripes"]) == (4, 3)
    back = await done(bench, modify(hvparams={"kvm": {"kernel_path": "default"}}))
    assert back.hvparams["kvm"]["kernel_path"] == "/boot/vmlinuz-3-kvmU"


async def test_what_belongs_to_an_os_definition_is_partial(bench: JobBench) -> None:
    after = await done(
        bench,
        modify(
            os_hvp={"noop": {"kvm": {"acpi": "false"}}},
            osparams={"noop": {"dhcp": "yes"}},
            osparams_private_cluster={"noop": {"token": Private("s3cret")}},
            hidden_os=(("add", "noop"),),
        ),
    )
    assert after.os_hvp["noop"]["kvm"] == {"acpi": False}
    assert after.osparams["noop"] == {"dhcp": "yes"}
    assert after.osparams_private_cluster["noop"] == {"token": "s3cret"}
    assert after.hidden_os == ("noop",)
    back = await done(bench, modify(osparams={"noop": {"dhcp": "default"}}))
    assert "noop" not in back.osparams


async def test_plain_settings_are_taken_as_they_are(bench: JobBench) -> None:
    after = await done(
        bench,
        modify(
            max_running_jobs=7,
            default_iallocator="first",
            default_iallocator_params={"fast": None},
            mac_prefix="AA:00:11",
            uid_pool=((5000, 5010),),
            add_uids=((4000, 4000),),
            ipolicy={"vcpu-ratio": 2.0, "std": {"cpu-count": 2}},
        ),
    )
    assert (after.max_running_jobs, after.default_iallocator) == (7, "first")
    assert after.mac_prefix == "aa:00:11"
    assert after.uid_pool == ((4000, 4000), (5000, 5010))
    assert after.ipolicy["vcpu-ratio"] == 2.0


async def test_a_larger_pool_is_filled_up(bench: JobBench) -> None:
    bench.cluster.use(candidate_pool_size=2)
    await done(bench, OpNodeSetParams(node_name="node3", master_candidate=False))
    await done(bench, modify(candidate_pool_size=3))
    nodes = bench.cluster.wconfd.state.configuration.nodes.values()
    assert {role_of(node) for node in nodes} == {"candidate"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"hvparams": {"nope": {}}}, "no hypervisor nope"),
        ({"beparams": {"minmem": 4096}}, "must be at least"),
        ({"ipolicy": {"nope": 1}}, "ipolicy"),
        ({"os_hvp": {"noop": {"kvm": {"migration_mode": "live"}}}}, "whole cluster"),
        ({"enabled_hypervisors": ("kvm",)}, "uses hypervisor fake"),
        ({"enabled_disk_templates": ("sharedfile",)}, "which stays enabled"),
        ({"enabled_disk_templates": ("file", "diskless", "rbd")}, "no driver"),
        ({"file_storage_dir": "relative"}, "absolute"),
        ({"mac_prefix": "01:00:00"}, "first one even"),
        ({"remove_uids": ((1, 2),)}, "not in the pool"),
        ({"vg_name": "xenvg"}, "can not be changed"),
        ({"enabled_data_collectors": {"nope": True}}, "no data collector"),
    ],
)
async def test_what_can_not_be_is_refused(
    bench: JobBench, settings: dict[str, object], text: str
) -> None:
    before = bench.cluster.picture()
    ran = await bench.run(modify(**settings))
    assert ran.statuses == {0: "error"}, settings
    assert text in str(ran.results[0])
    assert bench.cluster.picture() == before
