"""What clients of Ganeti 3.1 mean, written as clients of 3.0 would."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.dialects import Dialect, dialect_of, in_normal_form
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        (None, "3.0"), (3_000_000, "3.0"), (3_010_000, "3.1"), (2_160_000, "3.0"),
        (3_020_000, "3.1"), (3_009_000, "3.1"), (3_001_000, "3.0"), ("3010000", "3.0"),
        (True, "3.0"), (3.1, "3.0"),
    ],
)  # fmt: skip
def test_versions(version: Json, dialect: Dialect) -> None:
    assert dialect_of(version) == dialect


def parsed(dialect: Dialect, op_id: str, **parameters: Json) -> Any:  # noqa: ANN401 - any opcode
    return parse_opcode(in_normal_form({"OP_ID": op_id, "reason": [], **parameters}, dialect))


CREATE: dict[str, Json] = {
    "instance_name": "web1", "mode": "create", "disks": [], "nics": [], "disk_template": "diskless",
}  # fmt: skip


def test_names_are_checked_by_default_in_the_older_dialect_only() -> None:
    for op_id, parameters in (
        ("OP_INSTANCE_CREATE", CREATE),
        ("OP_INSTANCE_RENAME", {"instance_name": "web1", "new_name": "web2"}),
    ):
        old, new = (parsed(dialect, op_id, **parameters) for dialect in ("3.0", "3.1"))
        assert (old.name_check, old.ip_check) == (True, True)
        assert (new.name_check, new.ip_check) == (False, False)
        asked = parsed("3.1", op_id, **parameters, name_check=True)
        assert (asked.name_check, asked.ip_check) == (True, False)


def test_instances_of_an_allocation_of_several_follow_their_dialect() -> None:
    instances = [{"OP_ID": "OP_INSTANCE_CREATE", "reason": [], **CREATE}]
    sent = {"OP_ID": "OP_INSTANCE_MULTI_ALLOC", "reason": [], "instances": instances}
    normal: Any = in_normal_form(sent, "3.1")
    assert normal["instances"][0]["name_check"] is False
    assert in_normal_form({**sent, "instances": "x"}, "3.1") == {**sent, "instances": "x"}


def test_hotplug() -> None:
    modify = {"instance_name": "web1", "osparams": {"a": "b"}}
    assert parsed("3.0", "OP_INSTANCE_SET_PARAMS", **modify).hotplug is False
    assert parsed("3.1", "OP_INSTANCE_SET_PARAMS", **modify).hotplug is True
    assert parsed("3.1", "OP_INSTANCE_SET_PARAMS", **modify, hotplug=False).hotplug is False
    assert parsed(
        "3.0", "OP_INSTANCE_SET_PARAMS", **modify, hotplug_if_possible=True
    ).hotplug_if_possible
    with pytest.raises(BadOpcode, match="hotplug_if_possible: there is no such parameter"):
        parsed("3.1", "OP_INSTANCE_SET_PARAMS", **modify, hotplug_if_possible=True)


@pytest.mark.parametrize(
    ("op_id", "parameters"),
    [("OP_CLUSTER_VERIFY_DISKS", {}), ("OP_GROUP_VERIFY_DISKS", {"group_name": "default"})],
)
def test_strictness_is_the_newer_dialects(op_id: str, parameters: dict[str, Json]) -> None:
    plain = parsed("3.0", op_id, **parameters)
    assert parsed("3.1", op_id, **parameters, is_strict=True) == plain
    with pytest.raises(OpPrereqError, match="strictly only, as with is_strict true; leave it out"):
        parsed("3.1", op_id, **parameters, is_strict=False)
    with pytest.raises(BadOpcode, match="is_strict"):
        parsed("3.0", op_id, **parameters, is_strict=True)
    with pytest.raises(BadOpcode, match="is_strict: expected bool"):
        parsed("3.1", op_id, **parameters, is_strict="no")


def test_a_check_that_only_the_newer_dialect_can_skip() -> None:
    checks: Json = ["nplusone_mem", "hvparam_assessment"]
    verify = parsed("3.1", "OP_CLUSTER_VERIFY", skip_checks=checks)
    assert verify.skip_checks == {"nplusone_mem", "hvparam_assessment"}


def test_an_opcode_that_came_with_the_newer_dialect() -> None:
    rename = {"network_name": "net1", "new_name": "net2"}
    for dialect in ("3.0", "3.1"):
        assert parsed(dialect, "OP_NETWORK_RENAME", **rename).new_name == "net2"


@pytest.mark.parametrize("nonsense", [None, 1, [], "x", {}, {"OP_ID": 5}, {"OP_ID": "OP_NOSUCH"}])
def test_what_is_no_opcode_is_left_to_the_parser(nonsense: Json) -> None:
    assert in_normal_form(nonsense, "3.1") == nonsense
