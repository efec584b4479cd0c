"""What is printed of jobs' steps: by info, and by dry runs."""

from __future__ import annotations

import json
from typing import cast

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid

from gantry.cli.command import Program
from gantry.cli.gnt_debug import PROGRAM as DEBUG
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.cli.gnt_job.info import FIELDS
from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.job_steps import duration_text
from gantry.core.queue.course import with_plan, with_record
from gantry.core.queue.outline import outline
from gantry.protocols.codec import Json, dump
from gantry.protocols.identity import Attempt, NodeUuid
from gantry.protocols.job_course import JobCourse
from gantry.protocols.locks import Held, LockName
from gantry.protocols.steps import (
    Done,
    NodeCall,
    NoUndo,
    Plan,
    Planned,
    Say,
    Started,
    Step,
    StepName,
    StepRecord,
)

NODE = NodeUuid("11111111-2222-3333-4444-555555555555")
PLAN = Plan(
    "OP_INSTANCE_CREATE",
    1,
    (
        Step(
            StepName("create disk 0"),
            "checked",
            NodeCall(NODE, "create_disk", {}),
            NodeCall(NODE, "remove_disk", {}),
        ),
        Step(StepName("start web1"), "idempotent", NodeCall(NODE, "start", {}), Say("x")),
        Step(StepName("tell"), "idempotent", Say("y"), NoUndo("it changes nothing that stays")),
    ),
    no_return=StepName("start web1"),
)
LOCKS = (
    Held(LockName("cluster/BGL"), "shared"),
    Held(LockName(f"node/{NODE}"), "exclusive"),
)


def shown(course: JobCourse) -> list[Json]:
    return [dump(each) for each in course.opcodes]


def at_work() -> list[Json]:
    course = JobCourse()
    records: list[StepRecord] = [
        *(Planned(0, PLAN), Started(0, 0, Attempt(1))),
        *(Done(0, 0, None), Started(0, 1, Attempt(2))),
    ]
    for at, record in enumerate(records):
        course = with_record(course, record, 1000.0 + at)
    return shown(course)


def answer(luxid: FakeLuxid, **fields: object) -> None:
    values: dict[str, object] = {
        "id": 12,
        "status": "running",
        "ops": [{"OP_ID": "OP_INSTANCE_CREATE"}],
        "opresult": [None],
        "attempts": [],
        "opstatus": ["running"],
        "oplog": [[]],
        "opstart": [[1000, 0]],
        "opexec": [[1000, 500000]],
        "opend": [None],
        "received_ts": [999, 0],
        "start_ts": [1000, 0],
        **fields,
    }
    luxid.answers["QueryJobs"] = lambda args: [
        [values.get(name) for name in cast("list[list[str]]", args)[1]]
    ]
    luxid.answers["QueryJobProcess"] = {
        "attempt": 2,
        "step": "start web1",
        "priority": 0,
        "log_level": "info",
    }
    luxid.answers["Query"] = {
        "fields": [
            {"name": name, "title": name, "kind": "text", "doc": ""} for name in ("uuid", "name")
        ],
        "data": [[[0, NODE], [0, "node1"]]],
    }


def test_info_tells_phases_attempts_waits_and_steps(
    command: Command, luxid: FakeLuxid, utc: None
) -> None:
    answer(
        luxid,
        opsteps=at_work(),
        attempts=[
            {"attempt": 1, "mode": "run", "at": [1000, 0]},
            {"attempt": 2, "mode": "run", "at": [1002, 0]},
        ],
        waits=[{"opcode": 0, "began": 1000.0, "ended": 1000.5, "jobs": [9, 10]}],
        pauses=[{"began": [1000, 0], "ended": [1060, 0]}, {"began": [1070, 0], "ended": None}],
        paused=True,
        blocked_by=[9],
    )
    text = command(JOB, "info", "12").out
    for line in (
        "Paused: yes; to let it go on: gnt-job resume 12",
        "Waits for the locks of jobs: 9",
        "Time in the queue: 1.0 s",
        "1, which carries it on, begun 1970-01-01 00:16:40.000000",
        "500 ms for jobs 9, 10 (opcode 0)",
        "1:00, from 1970-01-01 00:16:40.000000",
        "since 1970-01-01 00:17:50.000000",
        "Time for locks and start: 500 ms",
        "done           1.0 s  create disk 0  (checked; call create_disk on node1; "
        "undo: call remove_disk)",
        "running               start web1  (idempotent; call start on node1; "
        "undo: write to the job's log, attempt 2)",
        "planned               tell  (idempotent; write to the job's log; "
        "no undo: it changes nothing that stays)",
        "Nothing is undone after: start web1",
        "Process: at step 'start web1', attempt 2, priority 0, logs info",
    ):
        assert line in text, text


def test_info_for_programs_has_the_fields_as_they_are(command: Command, luxid: FakeLuxid) -> None:
    answer(luxid, opsteps=at_work(), paused=False)
    (job,) = json.loads(command(JOB, "info", "--format", "json", "12").out)
    assert list(job) == FIELDS
    assert job["opsteps"] == at_work()
    assert luxid.calls("Query") == []


def test_a_dry_run_prints_locks_nodes_and_steps(command: Command, luxid: FakeLuxid) -> None:
    planned = with_plan(JobCourse(), 0, outline(PLAN), LOCKS, dry_run=True)
    luxid.answers["SubmitJob"] = 12
    entries = [[1, [1, 0], "message", "would do: create disk 0"], [2, [1, 0], "message", "Note"]]
    luxid.answers["WaitForJobChange"] = [[["running"], entries], [["success"], []]]
    answer(luxid, status="success", opsteps=shown(planned), opstatus=["success"])
    ended = command(INSTANCE, "remove", "-f", "--dry-run", "web1")
    assert ended.code == 0
    assert ended.out.splitlines()[1:] == [
        "OP_INSTANCE_CREATE would do this (a dry run: nothing was changed):",
        "  Locks: cluster/BGL (shared), node/node1 (exclusive)",
        "  Nodes: node1",
        "  Steps: 3",
        "    1. create disk 0 [checked]",
        "       call create_disk on node1",
        "       undo: call remove_disk",
        "    2. start web1 [idempotent]",
        "       call start on node1",
        "       undo: write to the job's log",
        "       --- from here on nothing is undone ---",
        "    3. tell [idempotent]",
        "       write to the job's log",
        "       no undo: it changes nothing that stays",
    ]
    assert ended.out.splitlines()[0].endswith("Note")
    [[[opcode]]] = cast("list[list[list[dict[str, object]]]]", luxid.calls("SubmitJob"))
    assert opcode["dry_run"] is True


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (("add-tags", "web1", "x"), INSTANCE),
        (("rename", "--force", "web1", "web2"), INSTANCE),
        (("modify", "-B", "memory=512", "web1"), INSTANCE),
        (("activate-disks", "web1"), INSTANCE),
        (("delay", "1"), DEBUG),
    ],
)
def test_commands_do_nothing_after_a_dry_run(
    command: Command, luxid: FakeLuxid, words: tuple[str, ...], program: Program
) -> None:
    """Whatever a command does with its result, a dry run has none."""
    luxid.answers["SubmitJob"] = 12
    luxid.answers["WaitForJobChange"] = lambda _: [["success"], []]
    answer(luxid, status="success", opsteps=[None], opstatus=["success"])
    verb, *rest = words
    ended = command(program, verb, "--dry-run", *rest)
    assert (ended.code, ended.err) == (0, "")
    assert "no plan was made" in ended.out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0121, "12 ms"), (3.21, "3.2 s"), (245, "4:05"), (3723, "1:02:03")],
)
def test_durations_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
