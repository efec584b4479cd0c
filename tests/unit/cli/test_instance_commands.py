"""What instance commands submit, and what they refuse before anything is sent."""

from __future__ import annotations

from typing import cast

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid, Refusal, Sample

from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.protocols.opcodes.parsing import parse_opcode
from gantry.protocols.values import Json

Opcode = dict[str, object]


@pytest.fixture
def cluster(sampled_queries: FakeLuxid) -> FakeLuxid:
    """The sampled instances, and jobs that succeed."""
    counter = iter(range(100, 200))
    sampled_queries.answers |= {
        "SubmitJob": lambda _: next(counter),
        "SubmitManyJobs": lambda arguments: [
            [True, next(counter)] for _ in cast("list[object]", arguments[0])
        ],
        "WaitForJobChange": lambda _: [["success"], []],
        "QueryJobs": lambda _: [["success", ["success"], [None]]],
    }
    return sampled_queries


def submitted(luxid: FakeLuxid) -> list[Opcode]:
    """Return all opcodes that were submitted, without their reasons; LuxiD would take them."""
    jobs = [cast("list[Opcode]", arguments[0]) for arguments in luxid.calls("SubmitJob")]
    for arguments in luxid.calls("SubmitManyJobs"):
        jobs += cast("list[list[Opcode]]", arguments[0])
    opcodes = [opcode for job in jobs for opcode in job]
    for opcode in opcodes:
        parse_opcode(cast("Json", opcode))
    return [{key: each for key, each in op.items() if key != "reason"} for op in opcodes]


def add(command: Command, luxid: FakeLuxid, *words: str) -> Opcode:
    ended = command(INSTANCE, "add", *words, "web1.example.org")
    assert ended == (0, "", "")
    [opcode] = submitted(luxid)
    return opcode


def test_add_with_the_least(command: Command, cluster: FakeLuxid) -> None:
    opcode = add(command, cluster, "-t", "diskless", "-o", "busybox", "-n", "node1")
    assert opcode == {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": "web1.example.org",
        "mode": "create",
        "disk_template": "diskless",
        "disks": [],
        "nics": [{}],
        "os_type": "busybox",
        "pnode": "node1",
        "snode": None,
        "group_name": None,
        "iallocator": None,
        "hypervisor": None,
        "hvparams": {},
        "beparams": {},
        "osparams": {},
        "osparams_private": {},
        "osparams_secret": {},
        "file_driver": None,
        "file_storage_dir": None,
        "start": True,
        "no_install": False,
        "name_check": True,
        "ip_check": True,
        "conflicts_check": True,
        "wait_for_sync": True,
        "opportunistic_locking": False,
        "force_variant": False,
        "ignore_ipolicy": False,
        "forthcoming": False,
        "commit": False,
        "tags": [],
        "instance_communication": False,
        "helper_startup_timeout": None,
        "helper_shutdown_timeout": None,
    }


def test_add_with_much(command: Command, cluster: FakeLuxid) -> None:
    opcode = add(
        command,
        cluster,
        *("-t", "drbd", "-n", "node1:node2", "-B", "maxmem=1g,minmem=512,vcpus=2,no_auto_balance"),
        *("-H", "kvm:kernel_path=/boot/k,serial_console=true,cpu_cores=2,no_acpi,-vga"),
        *("--disk", "1:size=1G,spindles=3", "--disk", "0:size=100m,mode=ro,name=root"),
        *("--net", "1:ip=10.0.0.5,link=br1", "--tags", "prod,web", "-O", r"key=a\,b,flag"),
        *("--no-start", "--no-install", "--no-name-check", "--no-ip-check", "-c", "yes"),
        *("--os-parameters-secret", "password=hush", "--helper-startup-timeout", "9"),
    )
    assert opcode["disks"] == [
        {"size": 100, "mode": "ro", "name": "root"},
        {"size": 1024, "spindles": 3},
    ]
    assert opcode["nics"] == [{}, {"ip": "10.0.0.5", "link": "br1"}]
    assert opcode["beparams"] == {
        "maxmem": 1024,
        "minmem": 512,
        "vcpus": 2,
        "auto_balance": False,
    }
    assert opcode["hypervisor"] == "kvm"
    assert opcode["hvparams"] == {
        "kernel_path": "/boot/k",
        "serial_console": True,
        "cpu_cores": 2,
        "acpi": False,
        "vga": "default",
    }
    assert opcode["osparams"] == {"key": "a,b", "flag": True}
    assert opcode["osparams_secret"] == {"password": "hush"}
    assert opcode["tags"] == ["prod", "web"]
    assert (opcode["pnode"], opcode["snode"]) == ("node1", "node2")
    assert opcode["instance_communication"] is True
    assert opcode["helper_startup_timeout"] == 9
    checks = ("start", "name_check", "ip_check")
    assert [opcode[name] for name in checks] == [False, False, False]
    assert opcode["no_install"] is True


def test_the_size_of_the_only_disk(command: Command, cluster: FakeLuxid) -> None:
    assert add(command, cluster, "-s", "1.5g", "--no-nics")["disks"] == [{"size": 1536}]


def test_an_adopted_disk_has_its_size_already(command: Command, cluster: FakeLuxid) -> None:
    opcode = add(command, cluster, "-t", "plain", "--disk", "0:adopt=data,vg=xenvg")
    assert opcode["disks"] == [{"adopt": "data", "vg": "xenvg", "size": 0}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no disk was described"),
        (("-t", "diskless", "-s", "1g"), "diskless instance has no disks"),
        (("-s", "1g", "--disk", "0:size=1g"), "not both"),
        (("--disk", "0:mode=ro"), "disk 0 needs size=SIZE or adopt=VOLUME"),
        (("--disk", "0:size=1g,adopt=x"), "is adopted"),
        (("--disk", "x:size=1g"), "'x' is no disk's index"),
        (("--disk", "16:size=1g"), "there are 0 to 15"),
        (("--disk", "0:size=1g", "--disk", "0:size=2g"), "disk 0 was described twice"),
        (("--disk", "no_0"), "disk 0 needs parameters"),
        (("--disk", "0:size=huge"), "parameter 'size': 'huge' is not a size"),
        (("-t", "diskless", "--no-nics", "--net", "0"), "contradict"),
        (("-t", "diskless", "-B", "vcpus=many"), "parameter 'vcpus'"),
        (("-t", "diskless", "-B", "auto_balance=perhaps"), "neither true nor false"),
        (("-t", "diskless", "-H", "-kvm"), "needs a hypervisor's name"),
    ],
)
def test_add_refuses_what_can_not_be(
    command: Command, cluster: FakeLuxid, words: tuple[str, ...], message: str
) -> None:
    ended = command(INSTANCE, "add", *words, "web1")
    assert (ended.code, ended.out, cluster.requests) == (1, "", [])
    assert message in ended.err


@pytest.mark.parametrize(
    ("line", "opcode"),
    [
        (
            ("startup", "inst1"),
            {
                "OP_ID": "OP_INSTANCE_STARTUP",
                "force": False,
                "ignore_offline_nodes": False,
                "no_remember": False,
                "startup_paused": False,
            },
        ),
        (
            ("start", "--paused", "-H", "vnc_tls=no", "-B", "maxmem=64", "inst1"),
            {
                "OP_ID": "OP_INSTANCE_STARTUP",
                "force": False,
                "ignore_offline_nodes": False,
                "no_remember": False,
                "startup_paused": True,
                "hvparams": {"vnc_tls": False},
                "beparams": {"maxmem": 64},
            },
        ),
        (
            ("stop", "-f", "--timeout", "5", "--no-remember", "inst1"),
            {
                "OP_ID": "OP_INSTANCE_SHUTDOWN",
                "force": True,
                "timeout": 5,
                "ignore_offline_nodes": False,
                "no_remember": True,
            },
        ),
        (
            ("reboot", "-t", "full", "inst1"),
            {
                "OP_ID": "OP_INSTANCE_REBOOT",
                "reboot_type": "full",
                "ignore_secondaries": False,
                "shutdown_timeout": 120,
            },
        ),
    ],
)
def test_power_commands_submit_a_job_for_the_instance(
    command: Command, cluster: FakeLuxid, line: tuple[str, ...], opcode: Opcode
) -> None:
    ended = command(INSTANCE, *line)
    assert ended == (0, "Waiting for job 100 for inst1.gnt.test ...\n", "")
    assert submitted(cluster) == [{**opcode, "instance_name": "inst1.gnt.test"}]


def test_submit_prints_each_id(command: Command, cluster: FakeLuxid) -> None:
    ended = command(INSTANCE, "shutdown", "--submit", "inst1")
    assert ended.out == "100: inst1.gnt.test\n"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("inst1", "inst2"), ["inst1", "inst2"]),
        (("--all",), ["inst1", "inst2", "tmpl"]),
        (("--primary", "node2"), ["tmpl"]),
        (("--node", "node1"), ["inst1", "inst2"]),
    ],
)
def test_several_instances_are_several_jobs(
    command: Command, cluster: FakeLuxid, words: tuple[str, ...], names: list[str]
) -> None:
    ended = command(INSTANCE, "startup", "--force-multiple", *words)
    assert ended.code == 0
    expected = [f"{name}.gnt.test" for name in names]
    assert [opcode["instance_name"] for opcode in submitted(cluster)] == expected
    assert len(cluster.calls("SubmitManyJobs")) == 1


def test_tags_choose_instances(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["Query"] = lambda _: {"fields": [], "data": []}
    command(INSTANCE, "startup", "--tags", "prod", "web")
    by_tag = [["=[]", "tags", "prod"], ["=[]", "tags", "web"]]
    assert luxid.calls("Query") == [["instance", ["name"], ["|", *by_tag]]]


def test_nothing_that_matches_is_told_as_in_ganeti(
    command: Command, luxid: FakeLuxid, printed: dict[str, Sample]
) -> None:
    luxid.answers["Query"] = lambda _: {"fields": [], "data": []}
    ended = command(INSTANCE, "startup", "nosuch")
    assert ended.err == printed["gnt-instance startup nosuch"]["stderr"]
    assert ended.code == 1


@pytest.mark.parametrize(("words", "message"), [((), "--all"), (("--all", "x"), "leave out")])
def test_who_is_meant_has_to_be_said(
    command: Command, luxid: FakeLuxid, words: tuple[str, ...], message: str
) -> None:
    ended = command(INSTANCE, "startup", *words)
    assert (ended.code, luxid.requests) == (1, [])
    assert message in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("remove", "inst1"),
        ("migrate", "inst1"),
        ("failover", "inst1"),
        ("rename", "--no-name-check", "inst1", "x"),
        ("startup", "--all"),
    ],
)
def test_without_a_terminal_a_question_ends_with_13_and_nothing_is_done(
    command: Command, cluster: FakeLuxid, words: tuple[str, ...]
) -> None:
    ended = command(INSTANCE, *words)
    assert ended.code == 13
    assert "no terminal" in ended.err
    assert submitted(cluster) == []


def test_failover_says_all_that_it_was_told(command: Command, cluster: FakeLuxid) -> None:
    words = ("--ignore-consistency", "--shutdown-timeout=5", "--cleanup", "-n", "node2")
    assert command(INSTANCE, "failover", "-f", *words, "inst1").code == 0
    assert submitted(cluster) == [
        {
            "OP_ID": "OP_INSTANCE_FAILOVER",
            "instance_name": "inst1",
            "ignore_consistency": True,
            "shutdown_timeout": 5,
            "iallocator": None,
            "target_node": "node2",
            "ignore_ipolicy": False,
            "cleanup": True,
        }
    ]


def test_modify_sends_what_was_given(command: Command, cluster: FakeLuxid) -> None:
    words = (
        "-B",
        "memory=1G,vcpus=2",
        "-H",
        "acpi=no",
        "--net",
        "add:ip=pool",
        "--net",
        "0:remove",
    )
    assert command(INSTANCE, "modify", *words, "--disk", "1:name=data", "inst1").code == 0
    (opcode,) = submitted(cluster)
    assert opcode["beparams"] == {"memory": 1024, "vcpus": 2}
    assert opcode["hvparams"] == {"acpi": False}
    assert opcode["nics"] == [["add", -1, {"ip": "pool"}], ["remove", 0, {}]]
    assert opcode["disks"] == [["modify", 1, {"name": "data"}]]
    assert opcode["offline"] is None


@pytest.mark.parametrize("words", [(), ("--offline", "--online"), ("--net", "0:add,remove")])
def test_modify_refuses_what_is_not_clear(
    command: Command, luxid: FakeLuxid, words: tuple[str, ...]
) -> None:
    ended = command(INSTANCE, "modify", *words, "inst1")
    assert (ended.code, luxid.requests) == (1, [])


def test_disks_are_activated_and_deactivated(command: Command, cluster: FakeLuxid) -> None:
    assert command(INSTANCE, "activate-disks", "--ignore-size", "inst1").code == 0
    assert command(INSTANCE, "deactivate-disks", "-f", "inst1").code == 0
    assert submitted(cluster) == [
        {
            "OP_ID": "OP_INSTANCE_ACTIVATE_DISKS",
            "instance_name": "inst1",
            "ignore_size": True,
            "wait_for_sync": False,
        },
        {"OP_ID": "OP_INSTANCE_DEACTIVATE_DISKS", "instance_name": "inst1", "force": True},
    ]


def test_remove_migrate_and_rename(command: Command, cluster: FakeLuxid) -> None:
    assert command(INSTANCE, "remove", "-f", "--ignore-failures", "inst1").code == 0
    assert command(INSTANCE, "migrate", "-f", "--non-live", "-n", "node2", "inst1").code == 0
    assert command(INSTANCE, "rename", "inst1", "web2").code == 0
    removal, migration, renaming = submitted(cluster)
    assert removal == {
        "OP_ID": "OP_INSTANCE_REMOVE",
        "instance_name": "inst1",
        "ignore_failures": True,
        "shutdown_timeout": 120,
    }
    assert migration == {
        "OP_ID": "OP_INSTANCE_MIGRATE",
        "instance_name": "inst1",
        "mode": "non-live",
        "cleanup": False,
        "iallocator": None,
        "target_node": "node2",
        "allow_failover": False,
        "allow_runtime_changes": True,
        "ignore_ipolicy": False,
        "ignore_hvversions": False,
    }
    assert renaming == {
        "OP_ID": "OP_INSTANCE_RENAME",
        "instance_name": "inst1",
        "new_name": "web2",
        "ip_check": True,
        "name_check": True,
    }


def test_one_of_several_that_failed_is_told(command: Command, cluster: FakeLuxid) -> None:
    cluster.answers["QueryJobs"] = [
        [["error", ["error"], [["OpExecError", ["no disk"]]]]],
        [["success", ["success"], [None]]],
    ]
    ended = command(INSTANCE, "reboot", "--force-multiple", "inst1", "inst2")
    assert ended.code == 1
    assert ended.out == (
        "Waiting for job 100 for inst1.gnt.test ...\nWaiting for job 101 for inst2.gnt.test ...\n"
    )
    assert ended.err == (
        "Job 100 for inst1.gnt.test has failed: Failure: command execution error:\nno disk\n"
    )


def test_one_of_several_that_was_refused_is_told(command: Command, cluster: FakeLuxid) -> None:
    cluster.answers["SubmitManyJobs"] = lambda _: [[True, 5], [False, "the queue is full"]]
    ended = command(INSTANCE, "reboot", "--force-multiple", "inst1", "inst2")
    assert ended.code == 1
    assert "Failure when submitting a job for inst2.gnt.test: " in ended.err


def test_tags_are_changed_and_listed(command: Command, cluster: FakeLuxid) -> None:
    cluster.answers["QueryTags"] = lambda _: ["web", "prod"]
    assert command(INSTANCE, "list-tags", "inst2").out == "prod\nweb\n"
    assert command(INSTANCE, "add-tags", "inst2", "a", "b").code == 0
    assert command(INSTANCE, "remove-tags", "inst2", "a").code == 0
    assert cluster.calls("QueryTags") == [["instance", "inst2"]]
    assert submitted(cluster) == [
        {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": "inst2", "tags": ["a", "b"]},
        {"OP_ID": "OP_TAGS_DEL", "kind": "instance", "name": "inst2", "tags": ["a"]},
    ]


def test_an_unknown_instance_is_told(command: Command, cluster: FakeLuxid) -> None:
    cluster.answers["QueryTags"] = Refusal(["OpPrereqError", ["No such thing", "unknown_entity"]])
    ended = command(INSTANCE, "list-tags", "nosuch")
    assert (ended.code, ended.out) == (1, "")
    assert "No such thing" in ended.err
