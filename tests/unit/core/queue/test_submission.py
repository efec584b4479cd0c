"""What becomes of the opcodes that clients send: the recorded conversations are the judge."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import orjson
import pytest

from gantry.core.queue.submission import BadDependency, check, number, sending_of
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import JobId
from gantry.protocols.opcodes.parsing import BadOpcode

SAMPLES = Path(__file__).parents[3] / "facts" / "samples"
Call = dict[str, object]


def conversations() -> dict[str, Call]:
    found = cast("list[Call]", orjson.loads((SAMPLES / "luxi.json").read_bytes()))
    return {str(each["name"]): each for each in found}


def sent(name: str) -> list[dict[str, object]]:
    request = cast("dict[str, list[list[dict[str, object]]]]", conversations()[name]["request"])
    return request["args"][0]


def everything(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    "name",
    [
        "submit_missing_reason",
        "submit_unknown_opcode",
        "submit_no_op_id",
        "submit_bad_param_type",
        "submit_unknown_param",
        "submit_missing_param",
    ],
)
def test_what_the_reference_refuses_is_refused(name: str) -> None:
    with pytest.raises(BadOpcode):
        check(sent(name), everything)


def test_a_job_is_stored_in_normal_form_with_its_origin() -> None:
    """As in the reference, but for what its job process fills in when it begins."""
    filled_in = {"debug_level", "on_node_uuids", "name"}
    job = number(JobId(378), check(sent("submit_two_ops"), everything), (1795250071, 135562))
    response = cast("dict[str, list[list[list[Call]]]]", conversations()["job_two_ops"]["response"])
    for stored, shown in zip(job.stored.ops, response["result"][0][2], strict=True):
        assert stored == {k: v for k, v in shown.items() if k in stored or k not in filled_in}


def test_relative_dependencies_count_from_the_jobs_own_id() -> None:
    jobs = cast("list[list[dict[str, object]]]", sent("submit_many_ok"))
    stored = [number(JobId(381 + i), check(ops, everything), (1, 0)) for i, ops in enumerate(jobs)]
    depends = [each.stored.ops[0]["depends"] for each in stored]
    assert depends == [None, [[381, ["success"]]], [[382, []]]]


def test_a_dependency_before_the_first_job_is_refused() -> None:
    ops = check([{**sent("submit_ok")[0], "depends": [[-5, []]]}], everything)
    with pytest.raises(BadDependency, match="job 3 can not depend on job -5"):
        number(JobId(3), ops, (1, 0))


def test_an_opcode_without_an_operation_is_refused_by_name() -> None:
    with pytest.raises(OpPrereqError) as caught:
        check(sent("submit_ok"), lambda op_id: op_id != "OP_TEST_DELAY")
    assert caught.value.args[1] == "wrong_input"
    assert "OP_TEST_DELAY" in str(caught.value)


def test_secrets_are_kept_apart() -> None:
    create = {
        "OP_ID": "OP_INSTANCE_CREATE",
        "reason": [],
        "instance_name": "web1",
        "mode": "create",
        "disks": [],
        "nics": [],
        "osparams_secret": {"password": "planted-secret", "pin": 1234},
    }
    job = number(JobId(1), check([sent("submit_ok")[0], create], everything), (1, 0))
    assert job.secrets == ({}, {"password": "planted-secret", "pin": "1234"})
    assert job.stored.ops[1]["osparams_secret"] == {"password": "<redacted>", "pin": "<redacted>"}
    assert "planted" not in repr(job.stored)


def stamped(time: object = 1795250070233412608, **more: object) -> dict[str, object]:
    return {"OP_ID": "OP_TEST_DELAY", "reason": [["gnt:user", "", time]], **more}


def test_equal_submissions_of_one_user_are_recognised() -> None:
    first = sending_of("SubmitJob", 0, "a", [[stamped()]])
    again = sending_of("SubmitJob", 0, "b", [[stamped()]])
    assert first is not None
    assert again is not None
    assert first.digest == again.digest
    for other in (
        sending_of("SubmitJob", 1, "b", [[stamped()]]),
        sending_of("SubmitManyJobs", 0, "b", [[stamped()]]),
        sending_of("SubmitJob", 0, "b", [[stamped(duration=2)]]),
        sending_of("SubmitJob", 0, "b", [[stamped(1795250070233412609)]]),
    ):
        assert other is not None
        assert other.digest != first.digest


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [[]],
        [[{"OP_ID": "X", "reason": []}]],
        [[{"OP_ID": "X"}]],
        [[stamped(1795250070)]],
        [[stamped(), {"OP_ID": "X", "reason": []}]],
        [[stamped()], []],
    ],
)
def test_without_a_time_stamp_of_its_own_a_submission_is_never_a_repetition(
    jobs: list[list[dict[str, object]]],
) -> None:
    assert sending_of("SubmitManyJobs", 0, "a", jobs) is None
