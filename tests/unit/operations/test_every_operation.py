"""What holds for the steps of every operation: undone, they leave nothing; redone, they do nothing.

Each scenario is one opcode on the sample cluster. It is run to its end; cancelled and killed
after each of its step records, once and three times, with its master and without; and each call
to a node fails or is broken off in turn, those that undo included. Afterwards either everything
is as it was before, or the job has succeeded; never anything between.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.twin_cluster import Mishap, TwinCluster

from gantry.core.config.verify import verify
from gantry.daemons.job.performer import CALLS_MAX
from gantry.daemons.job.progress import changes, must_be_known
from gantry.protocols.jobproc import Mode
from gantry.protocols.opcodes.cluster import OpClusterSetParams
from gantry.protocols.opcodes.disks import OpInstanceActivateDisks, OpInstanceDeactivateDisks
from gantry.protocols.opcodes.group import (
    OpGroupAdd,
    OpGroupAssignNodes,
    OpGroupRemove,
    OpGroupRename,
    OpGroupSetParams,
)
from gantry.protocols.opcodes.instance import (
    OpInstanceCreate,
    OpInstanceReboot,
    OpInstanceReinstall,
    OpInstanceRemove,
    OpInstanceRename,
    OpInstanceSetParams,
    OpInstanceShutdown,
    OpInstanceStartup,
)
from gantry.protocols.opcodes.network import (
    OpNetworkAdd,
    OpNetworkConnect,
    OpNetworkDisconnect,
    OpNetworkRemove,
    OpNetworkRename,
    OpNetworkSetParams,
)
from gantry.protocols.opcodes.node import OpNodeRemove, OpNodeSetParams, OpRestrictedCommand
from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.relocation import OpInstanceFailover, OpInstanceMigrate
from gantry.protocols.opcodes.secrecy import Secret
from gantry.protocols.opcodes.tags import OpTagsDel, OpTagsSet
from gantry.protocols.opcodes.testing import OpTestDelay
from gantry.protocols.steps import Plan, Planned, Started, StepRecord, TurnedBack

NEW = "new.gnt.test"

pytestmark = pytest.mark.slow
"""Thousands of jobs, each broken off at another record: ``make test`` runs them all."""


def create(template: str = "file", **more: object) -> OpInstanceCreate:
    given = {
        "instance_name": NEW,
        "mode": "create",
        "disks": ({"size": 1024}, {"size": 2048}),
        "nics": ({},),
        "disk_template": template,
        "os_type": "noop",
        "pnode": "node1.gnt.test",
        "name_check": False,
        "ip_check": False,
        "ignore_ipolicy": True,
        **more,
    }
    return OpInstanceCreate(**given)  # type: ignore[arg-type] # by name


MIGRATE = OpInstanceMigrate(instance_name=NEW, target_node="node2.gnt.test")
FAILOVER = OpInstanceFailover(instance_name=NEW, target_node="node2.gnt.test")
RACK = OpGroupAdd(group_name="rack2", alloc_policy="last_resort")

NET = OpNetworkAdd(
    network_name="net2", network="10.88.0.0/28", add_reserved_ips=("10.88.0.3",), tags=("lab",)
)
CONNECT = OpNetworkConnect(
    network_name="net2", group_name="default", network_mode="bridged", network_link="br0"
)

SCENARIOS: dict[str, tuple[list[Opcode], Opcode]] = {
    "add": ([], create()),
    "add a network": ([], NET),
    "change a network": ([NET], OpNetworkSetParams(network_name="net2", gateway="10.88.0.1")),
    "keep addresses back": (
        [NET],
        OpNetworkSetParams(
            network_name="net2",
            add_reserved_ips=("10.88.0.4",),
            remove_reserved_ips=("10.88.0.3",),
            mac_prefix="aa:00:17",
        ),
    ),
    "rename a network": ([NET], OpNetworkRename(network_name="net2", new_name="net3")),
    "remove a network": ([NET], OpNetworkRemove(network_name="net2")),
    "connect a network": ([NET], CONNECT),
    "disconnect a network": (
        [NET, CONNECT],
        OpNetworkDisconnect(network_name="net2", group_name="default"),
    ),
    "add without start": ([], create(start=False)),
    "remove": ([create()], OpInstanceRemove(instance_name=NEW)),
    "remove a stopped one": ([create(start=False)], OpInstanceRemove(instance_name=NEW)),
    "start": ([create(start=False)], OpInstanceStartup(instance_name=NEW)),
    "start a running one": ([create()], OpInstanceStartup(instance_name=NEW)),
    "stop": ([create()], OpInstanceShutdown(instance_name=NEW)),
    "reboot": ([create()], OpInstanceReboot(instance_name=NEW, reboot_type="hard")),
    "reboot a stopped one": (
        [create(start=False)],
        OpInstanceReboot(instance_name=NEW, reboot_type="hard"),
    ),
    "rename": (
        [create(start=False)],
        OpInstanceRename(instance_name=NEW, new_name="newer.gnt.test", name_check=False),
    ),
    "migrate": ([create("sharedfile")], MIGRATE),
    "migrate a stopped one": (
        [create("sharedfile", start=False)],
        OpInstanceMigrate(instance_name=NEW, target_node="node2.gnt.test", allow_failover=True),
    ),
    "fail over": ([create("sharedfile")], FAILOVER),
    "fail over a stopped one": ([create("sharedfile", start=False)], FAILOVER),
    "tag": ([], OpTagsSet(kind="instance", name="inst1.gnt.test", tags=("a", "b"))),
    "untag": (
        [OpTagsSet(kind="instance", name="inst1.gnt.test", tags=("a", "b"))],
        OpTagsDel(kind="instance", name="inst1.gnt.test", tags=("a",)),
    ),
    "remove a node": (
        [],
        OpNodeRemove(node_name="node3.gnt.test"),
    ),
    "drain a node": (
        [],
        OpNodeSetParams(node_name="node2.gnt.test", drained=True, auto_promote=True),
    ),
    "promote a node": (
        [OpNodeSetParams(node_name="node2.gnt.test", offline=True, auto_promote=True)],
        OpNodeSetParams(node_name="node2.gnt.test", offline=False),
    ),
    "add a group": ([], RACK),
    "remove a group": ([RACK], OpGroupRemove(group_name="rack2")),
    "rename a group": ([], OpGroupRename(group_name="default", new_name="rack1")),
    "modify a group": (
        [],
        OpGroupSetParams(group_name="default", ndparams={"spindle_count": 3}),
    ),
    "assign nodes": (
        [RACK],
        OpGroupAssignNodes(
            group_name="rack2", nodes=("node2.gnt.test", "node3.gnt.test"), force=True
        ),
    ),
    "modify": (
        [create()],
        OpInstanceSetParams(instance_name=NEW, beparams={"memory": 200, "vcpus": 2}),
    ),
    "mark offline": (
        [create(start=False)],
        OpInstanceSetParams(instance_name=NEW, offline=True),
    ),
    "reinstall": ([create(start=False)], OpInstanceReinstall(instance_name=NEW)),
    "activate disks": ([create(start=False)], OpInstanceActivateDisks(instance_name=NEW)),
    "deactivate disks": (
        [create(start=False), OpInstanceActivateDisks(instance_name=NEW)],
        OpInstanceDeactivateDisks(instance_name=NEW),
    ),
    "modify the cluster": (
        [OpNodeSetParams(node_name="node3.gnt.test", drained=True, auto_promote=True)],
        OpClusterSetParams(
            candidate_pool_size=8, beparams={"vcpus": 2}, hvparams={"kvm": {"acpi": False}}
        ),
    ),
    "run a command": (
        [],
        OpRestrictedCommand(nodes=("node2.gnt.test", "node1.gnt.test"), command="look"),
    ),
    "delay": ([], OpTestDelay(duration=0.0, repeat=2, on_nodes=("node2.gnt.test",))),
}


_PREPARED: dict[str, TwinCluster] = {}


async def prepared(folder: Path, before: list[Opcode]) -> JobBench:
    """Return a cluster on which some jobs have been done."""
    done = repr(before)
    if done not in _PREPARED:
        first = JobBench(folder)
        for opcode in before:
            ran = await first.run(opcode)
            assert ran.statuses == {0: "success"}, ran.results
        _PREPARED[done] = first.cluster
    bench = JobBench(folder, _PREPARED[done].copy())
    bench.skip(len(before))
    return bench


def is_clean(bench: JobBench) -> bool:
    """Whether the configuration verifies, and no node remembers a job that is over."""
    state = bench.cluster.wconfd.state
    members = [each for each in bench.cluster.all() if each.uuid in state.configuration.nodes]
    return not list(verify(state)) and not any(node.begun for node in members)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_it_succeeds(name: str, tmp_path: Path) -> None:
    before, opcode = SCENARIOS[name]
    bench = await prepared(tmp_path, before)
    ran = await bench.run(opcode)
    assert ran.statuses == {0: "success"}, (ran.results, ran.log)
    assert is_clean(bench)
    for record in ran.records:  # what can only be carried on, nobody can be asked to abort
        if isinstance(record, Planned) and record.plan.no_return is not None:
            assert all(step.kind != "once" for step in record.plan.steps)


@pytest.mark.parametrize("how", ["kill", "cancel"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_broken_off_anywhere_it_leaves_all_or_nothing(
    name: str, how: str, tmp_path: Path, autojump_clock: object
) -> None:
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    begun = whole.cluster.picture()
    ran = await whole.run(opcode)
    ended, moments = whole.cluster.picture(), len(ran.records)
    for moment in range(1, moments + 1):
        bench = await prepared(tmp_path / f"{how}-{moment}", before)
        broken = await bench.run(
            opcode,
            kill_after=moment if how == "kill" else (),
            cancel_after=moment if how == "cancel" else None,
            then="roll back",
        )
        picture = bench.cluster.picture()
        if broken.statuses[0] == "success":
            assert picture == ended, (moment, broken.log)
        else:
            assert broken.statuses[0] in ("error", "canceled")
            assert picture == begun, (moment, broken.log, broken.results)
        assert is_clean(bench)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_killed_anywhere_it_goes_on_to_its_end(
    name: str, tmp_path: Path, autojump_clock: object
) -> None:
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    ran = await whole.run(opcode)
    ended, moments = whole.cluster.picture(), len(ran.records)
    for moment in range(1, moments + 1):
        bench = await prepared(tmp_path / f"killed-{moment}", before)
        again = await bench.run(opcode, kill_after=moment, then="run")
        assert again.statuses == {0: "success"}, (moment, again.log, again.results)
        assert again.results == ran.results
        assert bench.cluster.picture() == ended, (moment, again.log)
        assert is_clean(bench)


def promised(plan: Plan, records: Sequence[StepRecord]) -> int:
    """Return how many records a process has waited for: no new master lacks them."""
    known, acts = 0, False
    for place, record in enumerate(records, start=1):
        if isinstance(record, Started):
            first = not acts and changes(plan.steps[record.step].do)
            acts = acts or first
            known = place if first or must_be_known(plan, record.step) else known
        elif isinstance(record, TurnedBack):  # from here on everything is awaited, or undone again
            return known
    return known


@pytest.mark.parametrize("then", ["run", "roll back"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_new_master_that_lacks_the_last_records_does_the_same(
    name: str, then: Mode, tmp_path: Path, autojump_clock: object
) -> None:
    """It has what was committed, and its disk has no journal of the job."""
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    begun = whole.cluster.picture()
    ran = await whole.run(opcode)
    ended = whole.cluster.picture()
    plan = next(record.plan for record in ran.records if isinstance(record, Planned))
    for moment in range(1 if then == "run" else 2, len(ran.records) + 1, 2):
        bench = await prepared(tmp_path / f"{moment}", before)
        known = promised(plan, ran.records[:moment])
        again = await bench.run(opcode, kill_after=moment, then=then, remembered=known)
        picture = bench.cluster.picture()
        if again.statuses == {0: "success"}:
            assert picture == ended, (moment, again.log)
        else:
            assert then == "roll back"
            assert picture == begun, (moment, again.log, again.results)
        assert is_clean(bench)


@pytest.mark.parametrize("then", ["run", "roll back"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_only_the_journal_knows_is_told_again(
    name: str, then: Mode, tmp_path: Path, autojump_clock: object
) -> None:
    """LuxiD has died, too, and heard of nothing: not even that the opcode was begun."""
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    begun = whole.cluster.picture()
    moments = len((await whole.run(opcode)).records)
    ended = whole.cluster.picture()
    for moment in range(1, moments + 1, 2):
        bench = await prepared(tmp_path / f"{moment}", before)
        again = await bench.run(opcode, kill_after=moment, then=then, heard=0)
        if then == "run":
            assert again.statuses == {0: "success"}, (moment, again.log, again.results)
        assert again.statuses[0] in ("success", "error"), (moment, again.log)
        wanted = ended if again.statuses[0] == "success" else begun
        assert bench.cluster.picture() == wanted, (moment, again.log, again.results)
        assert is_clean(bench)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_three_deaths_leave_all_or_nothing(
    name: str, tmp_path: Path, autojump_clock: object
) -> None:
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    begun = whole.cluster.picture()
    ran = await whole.run(opcode)
    ended, moments = whole.cluster.picture(), len(ran.records)
    for moment in range(1, moments, 3):
        bench = await prepared(tmp_path / f"died-{moment}", before)
        deaths = (moment, moment + 1, moment + 2)
        last = await bench.run(opcode, kill_after=deaths, then="roll back")
        picture = bench.cluster.picture()
        assert picture == (ended if last.statuses == {0: "success"} else begun), moment
        assert is_clean(bench)


@pytest.mark.parametrize("how", ["interrupted before", "interrupted after"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_noded_that_dies_at_any_call_changes_nothing(
    name: str, how: Mishap, tmp_path: Path, autojump_clock: object
) -> None:
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    whole.cluster.fate.dos = 0
    assert (await whole.run(opcode)).statuses == {0: "success"}
    ended = whole.cluster.picture()
    for number in range(1, whole.cluster.fate.dos + 1):
        bench = await prepared(tmp_path / f"{number}", before)
        bench.cluster.fate.mishap = how
        bench.cluster.fate.at_do = bench.cluster.fate.dos + number
        again = await bench.run(opcode, choice="redo")
        assert again.statuses == {0: "success"}, (number, again.log, again.results)
        assert bench.cluster.picture() == ended, (number, again.log)
        assert is_clean(bench)


@pytest.mark.parametrize("times", [2, 1000])
@pytest.mark.parametrize("name", ["add", "stop", "remove", "migrate"])
async def test_a_call_that_takes_too_long_again_and_again_fails_in_the_end(
    name: str, times: int, tmp_path: Path, autojump_clock: object
) -> None:
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    begun = whole.cluster.picture()
    whole.cluster.fate.dos = 0
    await whole.run(opcode)
    ended = whole.cluster.picture()
    for number in range(1, whole.cluster.fate.dos + 1):
        bench = await prepared(tmp_path / f"{number}", before)
        fate = bench.cluster.fate
        fate.mishap, fate.at_do, fate.times = "takes too long", fate.dos + number, times
        again = await bench.run(opcode)
        if again.statuses == {0: "success"}:
            assert bench.cluster.picture() == ended, (number, again.log)
        elif "nothing was undone" not in str(again.results[0]):
            assert times > CALLS_MAX
            assert bench.cluster.picture() == begun, (number, again.log, again.results)
        assert is_clean(bench)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_call_that_fails_leaves_all_or_nothing(
    name: str, tmp_path: Path, autojump_clock: object
) -> None:
    """Unless there is no way back: then the job says so."""
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    begun = whole.cluster.picture()
    whole.cluster.fate.dos = 0
    await whole.run(opcode)
    ended = whole.cluster.picture()
    for number in range(1, whole.cluster.fate.dos + 1):
        bench = await prepared(tmp_path / f"{number}", before)
        bench.cluster.fate.at_do = bench.cluster.fate.dos + number
        failed = await bench.run(opcode)
        if failed.statuses == {0: "success"}:  # of hooks, where it is tolerated, or was tried again
            assert any("WARNING" in str(line) or "again" in str(line) for line in failed.log)
        elif "nothing was undone" not in str(failed.results[0]):
            assert bench.cluster.picture() == begun, (number, failed.log, failed.results)
        assert bench.cluster.picture() in (begun, ended) or "nothing was" in str(failed.results)
        assert is_clean(bench)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_an_undo_that_is_repeated_does_nothing_more(
    name: str, tmp_path: Path, autojump_clock: object
) -> None:
    """The job is cancelled late, and NodeD dies at each undo in turn."""
    before, opcode = SCENARIOS[name]
    whole = await prepared(tmp_path / "whole", before)
    begun = whole.cluster.picture()
    late = len((await whole.run(opcode)).records) - 3
    first = await prepared(tmp_path / "first", before)
    await first.run(opcode, cancel_after=late)
    hows: tuple[Mishap, ...] = ("interrupted before", "interrupted after")
    for number in range(2, 2 * first.cluster.fate.undos + 2):
        bench = await prepared(tmp_path / f"{number}", before)
        bench.cluster.fate.mishap, bench.cluster.fate.at_undo = hows[number % 2], number // 2
        again = await bench.run(opcode, cancel_after=late)
        if again.statuses != {0: "success"}:  # there may have been no way back any more
            assert again.statuses == {0: "canceled"}, (number, again.log, again.results)
            assert bench.cluster.picture() == begun, (number, again.log)
        assert is_clean(bench)


async def test_killed_while_it_is_undone_it_is_undone_further(
    tmp_path: Path, autojump_clock: object
) -> None:
    whole = await prepared(tmp_path / "whole", [])
    begun = whole.cluster.picture()
    cancelled = await whole.run(create(), cancel_after=9)
    assert cancelled.statuses == {0: "canceled"}
    moments = len(cancelled.records)
    for moment in range(10, moments + 1):
        bench = await prepared(tmp_path / f"undoing-{moment}", [])
        again = await bench.run(create(), cancel_after=9, kill_after=moment, then="run")
        assert again.statuses == {0: "canceled"}, (moment, again.log, again.results)
        assert again.results == cancelled.results
        assert bench.cluster.picture() == begun, (moment, again.log)


async def test_nothing_is_installed_without_the_secrets_that_were_meant_for_it(
    tmp_path: Path,
) -> None:
    """They live in LuxiD's memory: after its restart a job that has not begun has lost them."""
    bench = await prepared(tmp_path, [])
    begun = bench.cluster.picture()
    ran = await bench.run(create(osparams_secret={"password": Secret("xyzzy")}))
    assert ran.statuses == {0: "error"}
    assert "secret parameters password are not known any more" in str(ran.results[0])
    assert bench.cluster.picture() == begun
