"""Job files as Ganeti wrote them, and the status derived from the opcodes'."""

import json
from itertools import product
from pathlib import Path

import pytest

from gantry.protocols.codec import Malformed
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import (
    STATUSES,
    Job,
    LogEntry,
    OpStatus,
    QueuedOpcode,
    dump_job,
    job_from_json,
    job_status,
    job_to_json,
    load_job,
    new_job,
    replace_op,
    timestamp,
)

QUEUE = Path(__file__).parents[2] / "facts" / "samples" / "queue"
FILES = sorted(QUEUE.glob("job-*"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_a_job_file_of_ganeti_is_read_and_written_unchanged(path: Path) -> None:
    data = path.read_bytes()
    job = load_job(data)
    assert f"job-{job.id}" == path.name
    assert job.is_final
    again = json.loads(dump_job(job))
    assert again == json.loads(data)
    assert list(again) == list(json.loads(data)), "the order of the keys"


def test_the_parts_of_a_job_file_are_typed() -> None:
    job = load_job((QUEUE / "job-418").read_bytes())
    (op,) = job.ops
    assert job.status == "error"
    assert op.opcode_id == "OP_INSTANCE_MULTI_ALLOC"
    assert op.exec_timestamp is None
    assert job.received_timestamp == (1795250195, 617820)
    (entry,) = load_job((QUEUE / "job-417").read_bytes()).ops[0].log
    assert (entry.serial, entry.type, entry.timestamp) == (1, "message", (1795250195, 403287))


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([], "success"),
        (["queued"], "queued"),
        (["success", "queued"], "queued"),
        (["success", "waiting", "queued"], "waiting"),
        (["success", "running", "queued"], "running"),
        (["running", "waiting"], "waiting"),
        (["success", "success"], "success"),
        (["success", "error", "error"], "error"),
        (["running", "canceling", "error"], "canceling"),
        (["canceled", "error"], "canceled"),
    ],
)
def test_job_status(statuses: list[OpStatus], status: OpStatus) -> None:
    assert job_status(statuses) == status


def test_a_job_succeeds_only_if_all_of_its_opcodes_do() -> None:
    for statuses in product(STATUSES, repeat=3):
        everything = all(status == "success" for status in statuses)
        assert (job_status(statuses) == "success") == everything


def test_priority_is_the_most_urgent_of_what_is_left_to_do() -> None:
    done = QueuedOpcode({}, status="success", priority=-20)
    job = Job(JobId(1), (done, QueuedOpcode({}, priority=5), QueuedOpcode({}, priority=-3)))
    assert job.priority == -3
    assert Job(JobId(1), (done,)).priority == 0


def test_last_log_serial() -> None:
    first = QueuedOpcode({}, log=(LogEntry(1, (1, 0), "message", "a"),))
    second = QueuedOpcode({}, log=(LogEntry(2, (1, 0), "message", "b"),))
    assert Job(JobId(1), (first, second, QueuedOpcode({}))).last_log_serial == 2
    assert Job(JobId(1), ()).last_log_serial == 0


def test_process_fields_are_left_out_until_the_job_has_been_started() -> None:
    job = new_job(JobId(7), [{"OP_ID": "OP_TEST_DELAY", "priority": -10}], timestamp(1_500_000_999))
    body = job_to_json(job)
    assert "livelock" not in body
    assert "process_id" not in body
    assert body["received_timestamp"] == [1, 500000]
    assert job.ops[0].priority == -10
    assert job_from_json(body) == job


@pytest.mark.parametrize("priority", [20, -21, "0", 1.0, True])
def test_new_job_refuses_an_impossible_priority(priority: object) -> None:
    with pytest.raises(Malformed, match="whole number"):
        new_job(JobId(1), [{"OP_ID": "OP_TEST_DELAY", "priority": priority}], (0, 0))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "5"}, "expected int"),
        ({"extra": 1}, "unknown keys"),
        ({"ops": [{"input": {}, "status": "gone"}]}, "expected one of"),
        ({"ops": [{"input": {}, "log": [[1, [0, 0], "message"]]}]}, "expected 4 items"),
        ({"ops": [{"input": {}, "priority": 99}]}, "priority"),
        ({"start_timestamp": [1]}, "expected 2 items"),
    ],
)
def test_what_is_not_a_job_is_refused_with_a_reason(change: dict[str, object], reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        job_from_json({"id": 1, "ops": [], **change})


def test_replace_op() -> None:
    job = Job(JobId(3), (QueuedOpcode({"OP_ID": "A"}), QueuedOpcode({"OP_ID": "B"})))
    changed = replace_op(job, 1, QueuedOpcode({"OP_ID": "B"}, status="running"))
    assert [op.status for op in changed.ops] == ["queued", "running"]
    with pytest.raises(IndexError, match="job 3 has 2 opcodes"):
        replace_op(job, 2, job.ops[0])
