"""The opcodes that requests stand for, beyond the recorded ones."""

import json

import pytest
from tests.unit.daemons.rapid.rapi_world import NOW_NS, Recorded, World, loaded

JSON_TYPE = {"content-type": "application/json"}
INSTANCE = "/2/instances/web.example.com"


def without_reason(ops: list[Recorded]) -> list[Recorded]:
    return [{key: value for key, value in op.items() if key != "reason"} for op in ops]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        (
            "PUT", f"{INSTANCE}/startup?force=1&no_remember=1", None,
            {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web.example.com", "force": True,
             "no_remember": True, "dry_run": False},
        ),
        (
            "PUT", f"{INSTANCE}/startup", {"depends": [[3, ["success"]]], "ignored": 1},
            {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web.example.com", "force": False,
             "no_remember": False, "dry_run": False, "depends": [[3, ["success"]]]},
        ),
        (
            "POST", f"{INSTANCE}/reboot?type=soft", {"shutdown_timeout": 5},
            {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": "web.example.com",
             "reboot_type": "soft", "ignore_secondaries": False, "dry_run": False,
             "shutdown_timeout": 5},
        ),
        (
            "PUT", f"{INSTANCE}/migrate", {"mode": "live", "target_node": "n2"},
            {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web.example.com", "mode": "live",
             "target_node": "n2"},
        ),
        (
            "DELETE", f"{INSTANCE}?dry-run=1", None,
            {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": "web.example.com", "dry_run": True,
             "ignore_failures": False},
        ),
        (
            "PUT", f"{INSTANCE}/modify",
            {"custom_hvparams": {"kernel_path": "/vmlinuz"}, "hvparams": None},
            None,
        ),
        (
            "PUT", f"{INSTANCE}/modify", {"hvparams": {"usb_devices": "a b"}},
            {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web.example.com",
             "hvparams": {"usb_devices": "a,b"}},
        ),
        (
            "POST", f"{INSTANCE}/disk/2/grow", {"amount": 100},
            {"OP_ID": "OP_INSTANCE_GROW_DISK", "instance_name": "web.example.com", "disk": 2,
             "amount": 100},
        ),
        (
            "POST", f"{INSTANCE}/replace-disks?mode=replace_auto&disks=0,1&iallocator=hail", None,
            {"OP_ID": "OP_INSTANCE_REPLACE_DISKS", "instance_name": "web.example.com",
             "mode": "replace_auto", "disks": [0, 1], "iallocator": "hail"},
        ),
        (
            "POST", "/2/nodes/n1/migrate?live=0", {"mode": "live"},
            {"OP_ID": "OP_NODE_MIGRATE", "node_name": "n1", "mode": "non-live"},
        ),
        ("POST", "/2/nodes/n1/migrate?live=0&mode=live", None, None),
        (
            "PUT", "/2/nodes/n1/role?force=1", "drained",
            {"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n1", "force": True,
             "auto_promote": False, "drained": True},
        ),
        ("PUT", "/2/nodes/n1/role", "master", None),
        ("PUT", "/2/nodes/n1/role", ["drained"], None),
        (
            "PUT", "/2/nodes/n1/storage/modify?storage_type=lvm-pv&name=sda&allocatable=0", None,
            {"OP_ID": "OP_NODE_MODIFY_STORAGE", "node_name": "n1", "storage_type": "lvm-pv",
             "name": "sda", "changes": {"allocatable": False}},
        ),
        ("PUT", "/2/nodes/n1/storage/repair?storage_type=lvm-vg", None, None),
        ("PUT", "/2/tags", {"OP_ID": "OP_CLUSTER_DESTROY"},
         {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None, "tags": [], "dry_run": False}),
        # what the route says, the body may not
        ("POST", f"{INSTANCE}/reboot", {"reboot_type": "soft"}, None),
        ("PUT", f"{INSTANCE}/migrate", {"instance_name": "other"}, None),
        ("PUT", f"{INSTANCE}/migrate", {"reason": []}, None),
        ("PUT", f"{INSTANCE}/migrate", {"OP_ID": "OP_CLUSTER_DESTROY"}, None),
        ("PUT", f"{INSTANCE}/migrate", {"nosuch": 1}, None),
        ("PUT", f"{INSTANCE}/migrate", ["live"], None),
        ("POST", f"{INSTANCE}/reboot?type=odd", None, None),
    ],
)  # fmt: skip
async def test_one_opcode(
    method: str, path: str, body: object, expected: Recorded | None, world: World
) -> None:
    response = await world.ask(
        method,
        path,
        body=json.dumps(body) if isinstance(body, str) else body,
        headers=JSON_TYPE,
    )

    if expected is None:
        assert response.status == 400
        assert world.luxid.requests == []
    else:
        assert loaded(response) == 1234
        assert without_reason(world.submitted()) == [expected]


async def test_what_may_not_be_set_remotely(world: World) -> None:
    response = await world.ask("PUT", "/2/modify", body={"compression_tools": ["sh"]})
    assert response.status == 403
    assert world.luxid.requests == []


async def test_reasons(world: World) -> None:
    await world.ask("PUT", f"{INSTANCE}/shutdown?reason=too%20loud")
    (op,) = world.submitted()
    assert op["reason"] == [
        ["gnt:user", "too loud", NOW_NS],
        ["gnt:library:rlib2:instances_name_shutdown", "", NOW_NS],
    ]


CREATE: Recorded = {
    "__version__": 1, "mode": "create", "name": "web", "os": "busybox", "disk_template": "diskless",
    "disks": [], "nics": [], "osparams_secret": {"key": "hidden"},
}  # fmt: skip


async def test_create_with_renames_and_secrets(world: World) -> None:
    response = await world.ask("POST", "/2/instances", body=CREATE)

    assert response.status == 200
    (op,) = world.submitted()
    assert (op["instance_name"], op["os_type"], op["dry_run"]) == ("web", "busybox", False)
    assert op["osparams_secret"] == {"key": "hidden"}
    assert "__version__" not in op


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"__version__": 0}, "version 0 is no longer supported"),
        ({"__version__": 2}, "Unsupported request data version 2"),
        ({"__version__": "1"}, "whole number"),
        ({"__version__": True}, "whole number"),
        ({"instance_name": "again"}, "given twice"),
        ({"dry_run": True}, "static parameters"),
        ({"disks": 5}, "Invalid body parameters"),
    ],
)
async def test_bad_creations(change: Recorded, words: str, world: World) -> None:
    response = await world.ask("POST", "/2/instances", body={**CREATE, **change})
    assert response.status == 400
    assert words in loaded(response)["message"]
    assert "hidden" not in loaded(response)["message"]


async def test_several_creations_at_once(world: World) -> None:
    one = {key: value for key, value in CREATE.items() if key != "__version__"}
    body = {"instances": [one], "iallocator": "hail"}

    response = await world.ask("POST", "/2/instances-multi-alloc?dry-run=1", body=body)

    assert response.status == 200
    (op,) = world.submitted()
    assert op["dry_run"] is True
    assert [(each["OP_ID"], each["instance_name"]) for each in op["instances"]] == [
        ("OP_INSTANCE_CREATE", "web")
    ]


@pytest.mark.parametrize("instances", [None, {}, [1], [{"nosuch": 1}]])
async def test_bad_allocations(instances: object, world: World) -> None:
    response = await world.ask("POST", "/2/instances-multi-alloc", body={"instances": instances})
    assert response.status == 400


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("", None, ["SHUTDOWN", "REINSTALL", "STARTUP"]),
        ("?os=noop&nostartup=1", None, ["SHUTDOWN", "REINSTALL"]),
        ("", {"os": "noop", "start": False, "osparams": {"a": "b"}}, ["SHUTDOWN", "REINSTALL"]),
        ("", {"depends": [[1, []]]}, ["SHUTDOWN", "REINSTALL", "STARTUP"]),
    ],
)
async def test_reinstall(
    query: str, body: Recorded | None, expected: list[str], world: World
) -> None:
    response = await world.ask("POST", f"{INSTANCE}/reinstall{query}", body=body)

    assert response.status == 200
    ops = world.submitted()
    assert [op["OP_ID"] for op in ops] == [f"OP_INSTANCE_{name}" for name in expected]
    if query or (body or {}).get("os"):
        assert ops[1]["os_type"] == "noop"
    assert ops[0].get("depends") == (body or {}).get("depends")


@pytest.mark.parametrize(
    ("query", "body"),
    [("", {"nosuch": 1}), ("", {"start": 1}), ("?os=x", {"start": True}), ("?nostartup=x", None)],
)
async def test_bad_reinstallations(query: str, body: object, world: World) -> None:
    response = await world.ask("POST", f"{INSTANCE}/reinstall{query}", body=body)
    assert response.status == 400
