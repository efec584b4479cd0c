"""Commands for the cluster, nodes and jobs."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import cast, get_args

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid
from tests.unit.cli.test_instance_commands import submitted

from gantry.cli import terminal
from gantry.cli.exit_codes import CONFIRMATION_NEEDED
from gantry.cli.gantry_command import PROGRAM as GANTRY
from gantry.cli.gnt_cluster.program import PROGRAM as CLUSTER
from gantry.cli.gnt_debug import PROGRAM as DEBUG
from gantry.cli.gnt_group.program import PROGRAM as GROUP
from gantry.cli.gnt_job.decide import CHOICES
from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.gnt_node.program import PROGRAM as NODE
from gantry.cli.option_values import Identified
from gantry.protocols.jobs import Choice


@pytest.fixture
def jobs(luxid: FakeLuxid) -> FakeLuxid:
    """A LuxiD whose jobs succeed with no result."""
    luxid.answers |= {
        "SubmitJob": lambda _: 7,
        "WaitForJobChange": lambda _: [["success"], []],
        "QueryJobs": lambda _: [["success", ["success"], [None]]],
    }
    return luxid


ACTIONS = (
    "init_cluster",
    "issue_join_token",
    "join_cluster",
    "show_takeover",
    "take_over_cluster",
    "destroy_cluster",
)


class Bootstrap(types.ModuleType):
    """Stands for what acts on this machine; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__("gantry.runtime.bootstrap")
        self.asked: list[tuple[str, dict[str, object]]] = []
        for action in ACTIONS:
            setattr(self, action, lambda arguments, name=action: self._keep(name, arguments))

    def _keep(self, action: str, arguments: dict[str, object]) -> int:
        self.asked.append((action, arguments))
        if arguments.get("cluster_name") == "taken":
            raise ValueError("this machine is already in a cluster")
        return 0


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> Bootstrap:
    module = Bootstrap()
    monkeypatch.setitem(sys.modules, "gantry.runtime.bootstrap", module)
    return module


def test_init_hands_on_all_options_under_ganetis_names(
    command: Command, bootstrap: Bootstrap
) -> None:
    words = ("--enabled-hypervisors", "fake", "-H", "fake:x=1", "--vg-name", "xen", "c.example.org")
    assert command(CLUSTER, "init", *words) == (0, "", "")
    [(action, arguments)] = bootstrap.asked
    facts = json.loads((Path(__file__).parents[2] / "facts/cli.json").read_text())
    options = facts["programs"]["gnt-cluster"]["commands"]["init"]["options"]
    assert action == "init_cluster"
    assert {option["dest"] for option in options} < set(arguments)
    assert arguments["cluster_name"] == "c.example.org"
    assert arguments["enabled_hypervisors"] == "fake"
    assert arguments["hvparams"] == [Identified("fake", {"x": "1"})]
    assert arguments["vg_name"] == "xen"


def test_a_takeover_is_shown_before_it_is_done(
    command: Command, bootstrap: Bootstrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = command(GANTRY, "takeover", "/srv/config.data")
    assert ended.code == CONFIRMATION_NEEDED
    assert "give --yes if you mean it" in ended.err
    arguments = {"config_data": "/srv/config.data"}
    assert bootstrap.asked == [("show_takeover", arguments)]

    monkeypatch.setattr(terminal, "confirm", lambda *_: False)
    ended = command(GANTRY, "takeover", "/srv/config.data")
    assert (ended.code, ended.err) == (1, "Nothing was done\n")
    bootstrap.asked.clear()
    assert command(GANTRY, "takeover", "--yes", "/srv/config.data").code == 0
    assert [action for action, _ in bootstrap.asked] == ["show_takeover", "take_over_cluster"]


def test_what_fails_on_this_machine_is_told(command: Command, bootstrap: Bootstrap) -> None:
    ended = command(CLUSTER, "init", "taken")
    assert ended == (1, "", "Failure: this machine is already in a cluster\n")


def test_tokens_and_joining(command: Command, bootstrap: Bootstrap) -> None:
    assert command(GANTRY, "token", "--lifetime", "30m", "node2").code == 0
    assert command(GANTRY, "join", "--address", "127.0.0.2", "secret").code == 0
    assert bootstrap.asked[0] == (
        "issue_join_token",
        {"node_name": "node2", "lifetime_seconds": 1800},
    )
    action, arguments = bootstrap.asked[1]
    assert (action, arguments["token"], arguments["primary_ip"]) == (
        "join_cluster",
        "secret",
        "127.0.0.2",
    )


def test_destroy_wants_to_be_meant(command: Command, jobs: FakeLuxid, bootstrap: Bootstrap) -> None:
    ended = command(CLUSTER, "destroy")
    assert (ended.code, jobs.requests) == (1, [])
    assert "--yes-do-it" in ended.err
    assert command(CLUSTER, "destroy", "--yes-do-it").code == 0
    assert [opcode["OP_ID"] for opcode in submitted(jobs)] == ["OP_CLUSTER_DESTROY"]
    assert bootstrap.asked == [("destroy_cluster", {"master": None})]


def verifying(jobs: FakeLuxid, *verdicts: list[object]) -> FakeLuxid:
    started = {"jobs": [[True, 10 + at] for at in range(len(verdicts))]}
    rows = [[["success", ["success"], [started]]], *([row] for row in verdicts)]
    jobs.answers["QueryJobs"] = list(rows)
    return jobs


GOOD: list[object] = ["success", ["success"], [True]]
BAD: list[object] = ["success", ["success"], [False]]
FAILED: list[object] = ["error", ["error"], [["OpExecError", ["no route"]]]]


@pytest.mark.parametrize(
    ("verdicts", "code"), [((GOOD, GOOD), 0), ((GOOD, BAD), 1), ((GOOD, FAILED), 1), ((), 0)]
)
def test_verify_waits_for_the_jobs_that_it_started(
    command: Command, jobs: FakeLuxid, verdicts: tuple[list[object], ...], code: int
) -> None:
    verifying(jobs, *verdicts)
    ended = command(CLUSTER, "verify")
    assert ended.code == code
    waits = [f"Waiting for job {10 + at} ..." for at in range(len(verdicts))]
    assert ended.out.splitlines()[: len(waits)] == waits
    assert ("1 job(s) failed" in ended.out) == (FAILED in verdicts)


@pytest.mark.parametrize(("verdict", "code"), [(GOOD, 0), (BAD, 1), (FAILED, 1)])
def test_verify_config_runs_one_job(
    command: Command, jobs: FakeLuxid, verdict: list[object], code: int
) -> None:
    jobs.answers["QueryJobs"] = [[verdict]]
    assert command(CLUSTER, "verify-config", "-v", "-I", "ECLUSTERCFG").code == code
    assert submitted(jobs) == [
        {
            "OP_ID": "OP_CLUSTER_VERIFY_CONFIG",
            "verbose": True,
            "error_codes": False,
            "debug_simulate_errors": False,
            "ignore_errors": ["ECLUSTERCFG"],
        }
    ]


def test_verify_hands_on_its_options(command: Command, jobs: FakeLuxid) -> None:
    verifying(jobs)
    command(CLUSTER, "verify", "--no-nplus1-mem", "-I", "ENODERPC", "-g", "default", "-v")
    assert submitted(jobs) == [
        {
            "OP_ID": "OP_CLUSTER_VERIFY",
            "verbose": True,
            "error_codes": False,
            "debug_simulate_errors": False,
            "skip_checks": ["nplusone_mem"],
            "ignore_errors": ["ENODERPC"],
            "group_name": "default",
            "verify_clutter": False,
        }
    ]


def test_the_queue_is_closed_and_opened(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers |= {"SetDrainFlag": True, "QueryConfigValues": lambda _: [True, False]}
    assert command(CLUSTER, "queue", "drain") == (0, "", "")
    assert command(CLUSTER, "queue", "undrain") == (0, "", "")
    assert command(CLUSTER, "queue", "info").out == "The drain flag is set\n"
    assert luxid.calls("SetDrainFlag") == [[True], [False]]


def test_the_queue_is_paused_and_resumed(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers |= {"SetQueuePause": True, "QueryConfigValues": lambda _: [False, True]}
    assert command(CLUSTER, "queue", "pause") == (0, "", "")
    assert command(CLUSTER, "queue", "resume") == (0, "", "")
    assert luxid.calls("SetQueuePause") == [[True], [False]]
    assert command(CLUSTER, "queue", "info").out == (
        "The drain flag is unset\n"
        "The queue is paused: no job begins until gnt-cluster queue resume\n"
    )


def test_the_watcher_is_paused(command: Command, luxid: FakeLuxid, utc: None) -> None:
    luxid.answers |= {
        "SetWatcherPause": lambda arguments: arguments[0],
        "QueryConfigValues": [[1795253606.5], [None]],
    }
    paused = "The watcher is paused until Sat Nov 21 09:33:26 2026.\n"
    assert command(CLUSTER, "watcher", "info").out == paused
    assert command(CLUSTER, "watcher", "info").out == "The watcher is not paused.\n"
    assert command(CLUSTER, "watcher", "pause", "1h").code == 0
    assert command(CLUSTER, "watcher", "pause", "soon").code == 1
    assert command(CLUSTER, "watcher", "continue").code == 0
    assert len(luxid.calls("SetWatcherPause")) == 2


def test_cluster_tags_have_no_name(command: Command, jobs: FakeLuxid, tmp_path: Path) -> None:
    (tmp_path / "tags").write_text("one\n\n two \n")
    jobs.answers["QueryTags"] = lambda _: ["ct1"]
    assert command(CLUSTER, "list-tags").out == "ct1\n"
    assert command(CLUSTER, "add-tags", "--from", str(tmp_path / "tags"), "zero").code == 0
    assert command(CLUSTER, "add-tags").code == 1
    assert command(CLUSTER, "add-tags", "--from", "/nonexistent").code == 1
    assert jobs.calls("QueryTags") == [["cluster", ""]]
    assert submitted(jobs) == [
        {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None, "tags": ["zero", "one", "two"]}
    ]


def test_a_node_is_added_and_removed(command: Command, jobs: FakeLuxid) -> None:
    words = ("-g", "rack2", "--vm-capable", "no", "--node-parameters", "ssh_port=2222,ovs=true")
    assert command(NODE, "add", *words, "--hypervisor-state", "kvm:mem_total=4", "node4").code == 0
    assert command(NODE, "remove", "node4").code == 0
    assert submitted(jobs) == [
        {
            "OP_ID": "OP_NODE_ADD",
            "node_name": "node4",
            "secondary_ip": None,
            "readd": False,
            "group": "rack2",
            "master_capable": None,
            "vm_capable": False,
            "node_setup": False,
            "ndparams": {"ssh_port": 2222, "ovs": True},
            "hv_state": {"kvm": {"mem_total": "4"}},
        },
        {"OP_ID": "OP_NODE_REMOVE", "node_name": "node4"},
    ]


def test_a_node_changes_its_role(command: Command, jobs: FakeLuxid) -> None:
    words = ("-O", "yes", "--auto-promote", "--node-parameters", "spindle_count=2", "node2")
    assert command(NODE, "modify", *words).code == 0
    (opcode,) = submitted(jobs)
    assert {name: content for name, content in opcode.items() if content is not None} == {
        "OP_ID": "OP_NODE_SET_PARAMS",
        "node_name": "node2",
        "offline": True,
        "auto_promote": True,
        "force": False,
        "ndparams": {"spindle_count": 2},
    }


def test_a_node_is_not_modified_by_nothing(command: Command, jobs: FakeLuxid) -> None:
    ended = command(NODE, "modify", "node2")
    assert (ended.code, jobs.requests) == (1, [])


@pytest.mark.parametrize(
    ("words", "opcode"),
    [
        (
            ("migrate", "--non-live", "-n", "node3"),
            {"OP_ID": "OP_NODE_MIGRATE", "mode": "non-live", "target_node": "node3"},
        ),
        (
            ("evacuate", "-p", "-I", "hail", "--ignore-soft-errors"),
            {
                "OP_ID": "OP_NODE_EVACUATE",
                "mode": "primary-only",
                "iallocator": "hail",
                "ignore_soft_errors": True,
            },
        ),
    ],
)
def test_instances_leave_a_node_by_jobs_that_are_waited_for(
    command: Command, jobs: FakeLuxid, words: tuple[str, ...], opcode: dict[str, object]
) -> None:
    luxid = verifying(jobs, GOOD, FAILED)
    luxid.answers["Query"] = lambda _: {"fields": FIELDS, "data": [[[0, ["inst1", "inst2"]]]]}
    ended = command(NODE, words[0], "-f", *words[1:], "node1")
    assert ended.code == 1
    assert "1 of 2 jobs have failed" in ended.err
    (sent,) = submitted(luxid)
    assert {**sent, **opcode, "node_name": "node1"} == sent


def test_a_nodes_instances_are_failed_over_one_by_one(command: Command, jobs: FakeLuxid) -> None:
    jobs.answers["Query"] = lambda _: {"fields": FIELDS, "data": [[[0, ["inst1", "inst2"]]]]}
    jobs.answers["SubmitManyJobs"] = lambda _: [[True, 7], [True, 8]]
    assert command(NODE, "failover", "-f", "--ignore-consistency", "node1").code == 0
    ((sent,),) = jobs.calls("SubmitManyJobs")
    names = [job[0]["instance_name"] for job in cast("list[list[dict[str, object]]]", sent)]
    assert names == ["inst1", "inst2"]


FIELDS = [{"name": "pinst_list", "title": "PriInstances", "kind": "other", "doc": "Instances"}]


def test_the_cluster_is_modified(command: Command, jobs: FakeLuxid) -> None:
    words = (
        *("-B", "memory=1G", "-H", "kvm:acpi=no", "-H", "fake:migration_mode=live", "-C", "5"),
        *("--uid-pool=", "--add-uids=10-12,20", "--enabled-disk-templates=file,diskless"),
        *("--ipolicy-std-specs=disk-size=1G", "--ipolicy-vcpu-ratio=2", "--reserved-lvs=a,b"),
        *("--data-collector-interval=diskstats=5", "-I", "", "--max-running-jobs=3"),
    )
    assert command(CLUSTER, "modify", *words).code == 0
    (opcode,) = submitted(jobs)
    assert opcode == {
        "OP_ID": "OP_CLUSTER_SET_PARAMS",
        "force": False,
        "beparams": {"memory": 1024},
        "hvparams": {"kvm": {"acpi": False}, "fake": {"migration_mode": "live"}},
        "candidate_pool_size": 5,
        "uid_pool": [],
        "add_uids": [[10, 12], [20, 20]],
        "enabled_disk_templates": ["file", "diskless"],
        "ipolicy": {"std": {"disk-size": 1024}, "vcpu-ratio": 2.0},
        "reserved_lvs": ["a", "b"],
        "data_collector_interval": {"diskstats": 5_000_000},
        "default_iallocator": "",
        "max_running_jobs": 3,
    }


@pytest.mark.parametrize("words", [(), ("--uid-pool=x",), ("--master-netmask=wide",)])
def test_a_modification_that_is_none_is_refused(
    command: Command, jobs: FakeLuxid, words: tuple[str, ...]
) -> None:
    ended = command(CLUSTER, "modify", *words)
    assert (ended.code, jobs.requests) == (1, [])


def found(errors: dict[str, str], inactive: list[str]) -> list[object]:
    return ["success", ["success"], [[errors, inactive, {}]]]


def test_disks_that_should_be_usable_are_activated(command: Command, jobs: FakeLuxid) -> None:
    done: list[object] = ["success", ["success"], [[["node1", "disk/0", "/data"]]]]
    luxid = verifying(jobs, found({}, ["inst1"]))
    cast("list[object]", luxid.answers["QueryJobs"]).append([done])
    ended = command(CLUSTER, "verify-disks")
    assert ended.code == 0, ended.err
    assert "Activating the disks of instance 'inst1'" in ended.out
    assert [each["OP_ID"] for each in submitted(luxid)] == [
        "OP_CLUSTER_VERIFY_DISKS",
        "OP_INSTANCE_ACTIVATE_DISKS",
    ]


def test_disks_that_can_not_be_looked_at_are_told(command: Command, jobs: FakeLuxid) -> None:
    luxid = verifying(jobs, found({"node2": "no answer"}, []))
    ended = command(CLUSTER, "verify-disks")
    assert ended.code == 1
    assert "Node node2 could not be asked: no answer" in ended.out
    assert len(submitted(luxid)) == 1


def test_groups_are_made_changed_and_removed(command: Command, jobs: FakeLuxid) -> None:
    bounds = "--ipolicy-bounds-specs=min:memory-size=1G,disk-size=4/max:memory-size=2G,disk-size=8g"
    for words in (
        ("add", "--alloc-policy=last_resort", bounds, "rack2"),
        ("modify", "-D", "plain:stripes=2", "--ipolicy-vcpu-ratio=3.5", "rack2"),
        ("assign-nodes", "-f", "rack2", "node1", "node2"),
        ("rename", "rack2", "rack3"),
        ("remove", "rack3"),
        ("add-tags", "rack3", "cold"),
    ):
        assert command(GROUP, *words).code == 0
    set_apart = [{k: v for k, v in each.items() if v is not None} for each in submitted(jobs)]
    assert set_apart == [
        {
            "OP_ID": "OP_GROUP_ADD",
            "group_name": "rack2",
            "alloc_policy": "last_resort",
            "ipolicy": {
                "minmax": [
                    {
                        "min": {"memory-size": 1024, "disk-size": 4},
                        "max": {"memory-size": 2048, "disk-size": 8192},
                    }
                ]
            },
        },
        {
            "OP_ID": "OP_GROUP_SET_PARAMS",
            "group_name": "rack2",
            "diskparams": {"plain": {"stripes": "2"}},
            "ipolicy": {"vcpu-ratio": 3.5},
        },
        {
            "OP_ID": "OP_GROUP_ASSIGN_NODES",
            "group_name": "rack2",
            "nodes": ["node1", "node2"],
            "force": True,
        },
        {"OP_ID": "OP_GROUP_RENAME", "group_name": "rack2", "new_name": "rack3"},
        {"OP_ID": "OP_GROUP_REMOVE", "group_name": "rack3"},
        {"OP_ID": "OP_TAGS_SET", "kind": "nodegroup", "name": "rack3", "tags": ["cold"]},
    ]


def test_jobs_are_canceled_and_refusals_end_with_1(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["CancelJob"] = [[True, "Dequeued job 3"], [False, "Job 395 not found in queue"]]
    ended = command(JOB, "cancel", "3", "395")
    assert ended == (1, "Dequeued job 3\nJob 395 not found in queue\n", "")
    assert luxid.calls("CancelJob") == [[3, False], [395, False]]


def test_a_job_is_told_what_a_person_has_decided(command: Command, luxid: FakeLuxid) -> None:
    assert get_args(Choice) == CHOICES
    luxid.answers["DecideJob"] = [[True, "Job 3 was told: redo"], [False, "it does not ask"]]
    assert command(JOB, "decide", "3", "redo") == (0, "Job 3 was told: redo\n", "")
    assert command(JOB, "decide", "4", "skip") == (1, "it does not ask\n", "")
    assert luxid.calls("DecideJob") == [[3, "redo"], [4, "skip"]]
    refused = command(JOB, "decide", "3", "perhaps")
    assert refused.code == 1
    assert "'perhaps' is no decision" in refused.err


def test_what_a_job_asks_is_shown_beside_the_list(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["Query"] = lambda _: {"fields": [], "data": []}
    luxid.answers["QueryQuestions"] = [[[7, [1795250100, 500000], "has it been done?"]]]
    ended = command(JOB, "list")
    assert ended.code == 0
    assert "Job 7 waits for a decision: has it been done? (asked at 2026-" in ended.err
    assert "gnt-job decide 7 skip|redo|abort" in ended.err


def test_jobs_are_chosen_by_status_after_asking(command: Command, luxid: FakeLuxid) -> None:
    row = [[0, 8], [0, "queued"], [0, ["TEST_DELAY(1.0)"]]]
    luxid.answers["Query"] = lambda _: {"fields": [], "data": [row]}
    luxid.answers["ChangeJobPriority"] = lambda _: [True, "Priority of job 8 changed"]
    ended = command(JOB, "change-priority", "--priority", "low", "--queued")
    assert ended.code == 13
    assert " 8 queued TEST_DELAY(1.0)\n" in ended.err
    assert luxid.calls("ChangeJobPriority") == []
    assert command(JOB, "change-priority", "--priority", "low", "--queued", "-f").code == 0
    assert luxid.calls("ChangeJobPriority") == [[8, 10]]


@pytest.mark.parametrize(
    "words",
    [
        ("cancel",),
        ("cancel", "--pending", "3"),
        ("cancel", "--kill", "3"),
        ("change-priority", "3"),
    ],
)
def test_what_is_not_clear_is_refused(
    command: Command, luxid: FakeLuxid, words: tuple[str, ...]
) -> None:
    assert command(JOB, *words).code == 1
    assert luxid.requests == []


def test_jobs_are_archived(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["ArchiveJob"] = [True, False]
    luxid.answers["AutoArchiveJobs"] = lambda _: [3, 1]
    ended = command(JOB, "archive", "1", "2")
    assert ended.code == 1
    assert "Job 2 was not archived" in ended.err
    assert command(JOB, "autoarchive", "all").out == "Archived 3 jobs, 1 unchecked left\n"
    assert command(JOB, "autoarchive", "2d").code == 0
    assert command(JOB, "autoarchive", "old").code == 1
    assert luxid.calls("AutoArchiveJobs") == [[0, 89], [172800, 89]]


def test_jobs_are_read_from_files(command: Command, luxid: FakeLuxid, tmp_path: Path) -> None:
    ids = iter(range(1, 9))
    luxid.answers |= {
        "SubmitManyJobs": lambda arguments: [
            [True, next(ids)] for _ in cast("list[object]", arguments[0])
        ],
        "WaitForJobChange": lambda _: [["success"], []],
        "QueryJobs": lambda _: [["success", ["success"], [None]]],
    }
    path = tmp_path / "jobs.json"
    path.write_text('[{"OP_ID": "OP_TEST_DELAY", "duration": 1, "reason": [["old", "", 1]]}]')
    ended = command(DEBUG, "submit-job", "--op-repeat", "2", "--job-repeat", "2", str(path))
    assert ended.code == 0
    [[jobs]] = luxid.calls("SubmitManyJobs")
    opcodes = [opcode for job in cast("list[list[dict[str, object]]]", jobs) for opcode in job]
    assert len(opcodes) == 4
    trails = [cast("list[list[object]]", opcode["reason"]) for opcode in opcodes]
    assert {trail[0][0] for trail in trails} == {"gnt:client:gnt-debug"}


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"reason": []}]'])
def test_a_file_without_opcodes_is_refused(
    command: Command, luxid: FakeLuxid, tmp_path: Path, content: str
) -> None:
    (tmp_path / "jobs.json").write_text(content)
    ended = command(DEBUG, "submit-job", str(tmp_path / "jobs.json"))
    assert (ended.code, luxid.requests) == (1, [])
    assert "jobs.json" in ended.err
    assert command(DEBUG, "submit-job", "/nonexistent").code == 1
