"""Opcodes at the door: what is parsed, what is refused and how it is said."""

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from gantry.protocols.opcodes.backup import OpBackupExport
from gantry.protocols.opcodes.disks import OpInstanceRecreateDisks
from gantry.protocols.opcodes.instance import OpInstanceCreate, OpInstanceSetParams
from gantry.protocols.opcodes.node import OpNodeAdd
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode
from gantry.protocols.opcodes.rendering import dump_opcode, send_opcode, shown_float, summary
from gantry.protocols.opcodes.secrecy import Private, Secret
from gantry.protocols.opcodes.secret_parameters import lost_secrets, secrets_of, with_secrets
from gantry.protocols.opcodes.tags import OpTagsGet, OpTagsSet
from gantry.protocols.opcodes.testing import OpTestAllocator, OpTestDelay
from gantry.protocols.values import Json

SAMPLES = Path(__file__).parents[3] / "facts" / "samples"
JsonObject = dict[str, Json]


def opcodes_of_job_files() -> list[JsonObject]:
    files = sorted((SAMPLES / "queue").glob("job-*"))
    return [op["input"] for file in files for op in json.loads(file.read_text())["ops"]]


def opcodes_in(value: Json) -> list[JsonObject]:
    """Return all opcodes anywhere in a JSON value."""
    if isinstance(value, dict):
        found = [cast(JsonObject, value)] if {"OP_ID", "reason"} <= value.keys() else []
        return found + [each for inner in value.values() for each in opcodes_in(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in opcodes_in(inner)]
    return []


def opcodes_of_luxi() -> list[JsonObject]:
    exchanges = json.loads((SAMPLES / "luxi.json").read_text())
    good = [each for each in exchanges if each.get("response", {}).get("success")]
    return opcodes_in([each["request"] for each in good]) + opcodes_in(
        [each["response"] for each in good]
    )


REAL = opcodes_of_job_files() + opcodes_of_luxi()


def test_there_are_enough_real_opcodes_to_say_something() -> None:
    assert len({opcode["OP_ID"] for opcode in REAL}) >= 10


@pytest.mark.parametrize("sent", REAL)
def test_a_real_opcode_keeps_every_value_it_came_with(sent: JsonObject) -> None:
    dumped = dump_opcode(parse_opcode(sent))
    assert {name: value for name, value in sent.items() if value is not None}.items() <= (
        dumped.items()
    )
    assert json.loads(json.dumps(dumped)) == dumped


DELAY: JsonObject = {"OP_ID": "OP_TEST_DELAY", "duration": 1.5, "reason": []}


def test_parameters_that_are_left_out_take_their_defaults() -> None:
    assert parse_opcode(DELAY) == OpTestDelay(duration=1.5)


@pytest.mark.parametrize(
    ("change", "parameter", "reason"),
    [
        ({"duration": "1"}, "duration", "expected a number"),
        ({"duration": True}, "duration", "expected a number"),
        ({"duration": 10**400}, "duration", "too large"),
        ({"duration": None}, "duration", "expected a number"),
        ({"repeat": -1}, "repeat", "a whole number from 0 up"),
        ({"repeat": True}, "repeat", "expected int"),
        ({"repeat": 1.0}, "repeat", "expected int"),
        ({"on_master": 1}, "on_master", "expected bool"),
        ({"on_nodes": ["node1", ""]}, "on_nodes", "a non-empty string"),
        ({"on_nodes": "node1"}, "on_nodes", "expected a list"),
        ({"priority": 5}, "priority", "expected one of"),
        ({"priority": False}, "priority", "expected one of"),
        ({"reason": [["gnt:user", "because"]]}, "reason", "expected 3 items"),
        ({"reason": "because"}, "reason", "expected"),
        ({"depends": [[1, ["late"]]]}, "depends", "expected one of"),
        ({"surprise": 1}, "surprise", "no such parameter"),
    ],
)
def test_a_wrong_parameter_is_named(change: JsonObject, parameter: str, reason: str) -> None:
    with pytest.raises(BadOpcode, match=f"OP_TEST_DELAY: {parameter}: .*{reason}") as caught:
        parse_opcode({**DELAY, **change})
    assert (caught.value.op_id, caught.value.parameter) == ("OP_TEST_DELAY", parameter)


@pytest.mark.parametrize("missing", ["duration", "reason"])
def test_a_missing_parameter_is_named(missing: str) -> None:
    sent = {name: value for name, value in DELAY.items() if name != missing}
    with pytest.raises(BadOpcode, match=f"OP_TEST_DELAY: {missing}: the parameter is missing"):
        parse_opcode(sent)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "an opcode is an object"),
        ("OP_TEST_DELAY", "an opcode is an object"),
        ({"reason": []}, "must have the key OP_ID"),
        ({"OP_ID": "OP_NOSUCH", "reason": []}, "unknown opcode 'OP_NOSUCH'"),
        ({"OP_ID": 7, "reason": []}, "unknown opcode '7'"),
        ({"OP_ID": ["OP_TEST_DELAY"], "reason": []}, "unknown opcode"),
    ],
)
def test_what_is_no_opcode_is_refused(value: Json, reason: str) -> None:
    with pytest.raises(BadOpcode, match=reason):
        parse_opcode(value)


def test_a_whole_number_is_a_number_of_seconds() -> None:
    duration = cast(OpTestDelay, parse_opcode({**DELAY, "duration": 2})).duration
    assert (duration, type(duration)) == (2.0, float)


def test_job_ids_of_dependencies_may_be_digits() -> None:
    depends = [["12", ["success"]], [-1, []]]
    parsed = parse_opcode({**DELAY, "depends": depends})
    assert parsed.depends == ((12, ("success",)), (-1, ()))
    assert dump_opcode(parsed)["depends"] == [[12, ["success"]], [-1, []]]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([["add", {"size": 1024}]], [["add", -1, {"size": 1024}]]),
        ([[1, {"mode": "ro"}]], [["modify", 1, {"mode": "ro"}]]),
        ([["remove", 0, {}]], [["remove", 0, {}]]),
        ([["modify", "my-disk", {"name": "none"}]], [["modify", "my-disk", {"name": "none"}]]),
        ([], []),
    ],
)
def test_older_forms_of_disk_changes_become_the_present_one(sent: Json, kept: Json) -> None:
    value = {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "i", "reason": [], "disks": sent}
    assert dump_opcode(parse_opcode(value))["disks"] == kept


@pytest.mark.parametrize(
    "changes",
    [
        [["modify", {"mode": "ro"}]],
        [[-1, {"mode": "ro"}]],
        [["add", {}], ["add", -1, {}]],
        [["add", -1, {"size": 1.5}]],
        [["explode", -1, {}]],
        [[True, {}]],
        {"add": {}},
    ],
)
def test_disk_changes_that_make_no_sense_are_refused(changes: Json) -> None:
    value = {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "i", "reason": []}
    with pytest.raises(BadOpcode, match="disks"):
        parse_opcode({**value, "disks": changes})


def test_nic_changes_know_the_nic_parameters() -> None:
    value = {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "i", "reason": []}
    parsed = parse_opcode({**value, "nics": [["add", {"ip": None, "link": "br0"}]]})
    assert cast(OpInstanceSetParams, parsed).nics == (("add", -1, {"ip": None, "link": "br0"}),)
    with pytest.raises(BadOpcode, match="nics: expected one of"):
        parse_opcode({**value, "nics": [["add", {"colour": "red"}]]})


@pytest.mark.parametrize(
    ("sent", "kept"), [([0, 2], ((0, {}), (2, {}))), ([[1, {"size": 5}]], ((1, {"size": 5}),))]
)
def test_disks_to_recreate_may_be_given_by_index(sent: Json, kept: Json) -> None:
    value = {"OP_ID": "OP_INSTANCE_RECREATE_DISKS", "instance_name": "i", "reason": []}
    assert cast(OpInstanceRecreateDisks, parse_opcode({**value, "disks": sent})).disks == kept


def test_an_export_goes_to_a_node_or_to_another_cluster() -> None:
    value = {"OP_ID": "OP_BACKUP_EXPORT", "instance_name": "i", "reason": []}
    near = parse_opcode({**value, "target_node": "node2"})
    far = parse_opcode({**value, "target_node": [["host", 80, "magic"]], "mode": "remote"})
    assert cast(OpBackupExport, near).target_node == "node2"
    assert cast(OpBackupExport, far).target_node == (["host", 80, "magic"],)
    with pytest.raises(BadOpcode, match="target_node"):
        parse_opcode({**value, "target_node": ""})


# --- what must not be seen ---------------------------------------------------------------------

CREATE: JsonObject = {
    "OP_ID": "OP_INSTANCE_CREATE",
    "instance_name": "web1",
    "mode": "create",
    "disks": [{"size": 1024}],
    "nics": [{}],
    "reason": [],
    "osparams_private": {"licence": "p-planted"},
    "osparams_secret": {"password": "s-planted"},
}


def test_private_and_secret_values_are_not_shown() -> None:
    opcode = cast(OpInstanceCreate, parse_opcode(CREATE))
    assert opcode.osparams_private == {"licence": Private("p-planted")}
    assert opcode.osparams_secret == {"password": Secret("s-planted")}
    assert "planted" not in repr(opcode)
    assert "planted" not in str(opcode)


def test_a_secret_is_not_written_and_a_private_value_is() -> None:
    dumped = dump_opcode(parse_opcode(CREATE))
    assert dumped["osparams_private"] == {"licence": "p-planted"}
    assert dumped["osparams_secret"] == {"password": "<redacted>"}


def test_a_client_sends_its_secrets() -> None:
    assert parse_opcode(send_opcode(parse_opcode(CREATE))) == parse_opcode(CREATE)


def test_secrets_are_put_back_into_an_opcode_from_a_file() -> None:
    opcode = parse_opcode(CREATE)
    from_file = parse_opcode(dump_opcode(opcode))
    assert (lost_secrets(opcode), lost_secrets(from_file)) == ((), ("password",))
    assert with_secrets(from_file, secrets_of(opcode)) == opcode
    assert secrets_of(OpTestDelay(duration=1)) is None
    assert with_secrets(from_file, None) is from_file


# --- summaries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opcode", "line"),
    [
        (OpNodeAdd(node_name="node4"), "NODE_ADD(node4)"),
        (OpTestDelay(duration=30), "TEST_DELAY(30.0)"),
        (OpTestDelay(duration=30.0), "TEST_DELAY(30.0)"),
        (OpTestDelay(duration=0.001), "TEST_DELAY(1.0e-3)"),
        (OpTagsGet(kind="cluster"), "TAGS_GET(TagKindCluster)"),
        (OpTagsGet(kind="nodegroup", name="default"), "TAGS_GET(TagKindGroup)"),
        (OpTagsSet(kind="cluster", tags=()), "TAGS_SET"),
        (OpTestAllocator(direction="in", mode="relocate", name="i"), "TEST_ALLOCATOR(None)"),
    ],
)
def test_summary(opcode: OpNodeAdd, line: str) -> None:
    assert summary(opcode) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (0.1, "0.1"),
        (0.05, "5.0e-2"),
        (0.00125, "1.25e-3"),
        (123456.75, "123456.75"),
        (9999999.0, "9999999.0"),
        (12345678.0, "1.2345678e7"),
        (1e22, "1.0e22"),
        (-0.001, "-1.0e-3"),
    ],
)
def test_numbers_in_summaries(value: float, text: str) -> None:
    assert shown_float(value) == text


def test_sending_one_opcode_loads_neither_the_codec_nor_the_other_opcodes() -> None:
    program = (
        "import sys\n"
        "from gantry.protocols.opcodes.rendering import send_opcode\n"
        "from gantry.protocols.opcodes.testing import OpTestDelay\n"
        "send_opcode(OpTestDelay(duration=1))\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "gantry.protocols.opcodes.testing" in loaded
    assert not {"cattrs", "trio", "gantry.protocols.opcodes.instance"} & set(loaded)


@pytest.mark.parametrize(
    ("sent", "kept"), [(30, "30"), (30.0, "30"), (0.5, "0.5"), (1e300, "1e+300"), (0, "0")]
)
def test_whole_numbers_are_kept_without_a_fraction(sent: float, kept: str) -> None:
    opcode = parse_opcode({"OP_ID": "OP_TEST_DELAY", "reason": [], "duration": sent})
    assert repr(dump_opcode(opcode)["duration"]) == kept
    assert parse_opcode(dump_opcode(opcode)) == opcode
