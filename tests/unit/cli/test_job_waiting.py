"""Submitting jobs and waiting for them, against scripted job changes."""

from __future__ import annotations

import time
from typing import cast

import pytest
from tests.unit.cli.fake_luxid import Command, Ended, FakeLuxid, Refusal

from gantry.cli.gnt_debug import PROGRAM as DEBUG
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.luxi import LuxiClient

ENTRY = [1, [1795250416, 136], "message", "* starting"]


def succeed(luxid: FakeLuxid, result: object = None) -> None:
    """Let every job succeed at once."""
    luxid.answers["SubmitJob"] = lambda _: 12
    luxid.answers["WaitForJobChange"] = lambda _: [["success"], []]
    answers = {"opresult": ["success", ["success"], [result]], "opsteps": [[{}], [None]]}
    luxid.answers["QueryJobs"] = lambda args: [answers[cast("list[list[str]]", args)[1][-1]]]


def delay(command: Command, *words: str) -> Ended:
    return command(DEBUG, "delay", *words, "0.5")


def test_the_opcode_carries_who_asked_and_when(command: Command, luxid: FakeLuxid) -> None:
    succeed(luxid)
    before = time.time_ns()
    assert delay(command, "--reason", "lunch", "--priority", "high", "--dry-run", "-d").code == 0
    [[[opcode]]] = cast("list[list[list[dict[str, object]]]]", luxid.calls("SubmitJob"))
    trail = cast("list[list[object]]", opcode.pop("reason"))
    assert opcode == {
        "OP_ID": "OP_TEST_DELAY",
        "duration": 0.5,
        "on_master": True,
        "on_nodes": [],
        "repeat": 0,
        "interruptible": False,
        "no_locks": False,
        "priority": -10,
        "dry_run": True,
        "debug_level": 1,
    }
    assert [entry[:2] for entry in trail] == [
        ["gnt:user", "lunch"],
        ["gnt:client:gnt-debug", "delay"],
    ]
    assert all(before <= cast("int", entry[2]) <= time.time_ns() for entry in trail)


def test_the_log_is_printed_as_it_comes(command: Command, luxid: FakeLuxid, utc: None) -> None:
    succeed(luxid)
    luxid.answers["WaitForJobChange"] = [
        [["queued"], []],
        [["running"], [ENTRY]],
        [["success"], [[2, [1795250417, 0], "message-list", ["a", "b"]]]],
        [["success"], []],
    ]
    ended = delay(command)
    assert ended == (
        0,
        "Sat Nov 21 08:40:16 2026 * starting\nSat Nov 21 08:40:17 2026 a\nb\n",
        "",
    )
    asked = luxid.calls("WaitForJobChange")
    assert [call[2:4] for call in asked] == [
        [None, 0],
        [["queued"], 0],
        [["running"], 1],
        [["success"], 2],
    ]
    assert all(call[0] == 12 for call in asked)


def test_a_job_that_does_not_begin_is_told_about_once(command: Command, luxid: FakeLuxid) -> None:
    succeed(luxid)
    queued, waiting = [["queued"], []], [["waiting"], []]
    luxid.answers["WaitForJobChange"] = [
        *([queued] * 4),
        *([waiting] * 3),
        [["success"], []],
    ]
    ended = delay(command)
    assert ended.err.splitlines() == [
        "Job 12 is queued (gnt-job info tells why)",
        "Job 12 waits for locks that other jobs hold (see gnt-debug locks)",
    ]
    timeouts = [call[4] for call in luxid.calls("WaitForJobChange")]
    assert timeouts == [60, 5, 60, 60, 60, 5, 60, 60]


def test_submit_prints_the_id_and_does_not_wait(command: Command, luxid: FakeLuxid) -> None:
    succeed(luxid)
    assert delay(command, "--submit") == (0, "JobID: 12\n", "")
    assert luxid.calls("WaitForJobChange") == []


def test_print_jobid_prints_it_first(command: Command, luxid: FakeLuxid, utc: None) -> None:
    succeed(luxid)
    luxid.answers["WaitForJobChange"] = [[["running"], [ENTRY]], [["success"], []]]
    assert delay(command, "--print-jobid").out == "12\nSat Nov 21 08:40:16 2026 * starting\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ["error", ["error"], [["OpPrereqError", ["Unknown node x", "unknown_entity"]]]],
            "Failure: prerequisites not met for this operation:\n"
            "error type: unknown_entity, error details:\nUnknown node x\n",
        ),
        (
            ["error", ["error"], [["OpExecError", ["disk full"]]]],
            "Failure: command execution error:\ndisk full\n",
        ),
        (
            ["error", ["success", "error"], [None, ["OpExecError", ["disk full"]]]],
            "Failure: command execution error:\npartial failure (opcode 1): "
            "Failure: command execution error:\ndisk full\n",
        ),
        (
            ["error", ["error"], ["Job process died"]],
            "Failure: command execution error:\nJob process died\n",
        ),
        (["canceled", ["canceled"], [None]], "Job 12 was canceled\n"),
        (
            ["error", ["error"], [["HooksAbort", [[["node1", "10-check", "no"]]]]]],
            "Failure: hooks refused the operation:\n  node: node1, script: 10-check, output: no\n",
        ),
    ],
)
def test_a_job_that_failed_tells_why(
    command: Command, luxid: FakeLuxid, row: list[object], message: str
) -> None:
    succeed(luxid)
    luxid.answers["WaitForJobChange"] = lambda _: [[row[0]], []]
    luxid.answers["QueryJobs"] = lambda _: [row]
    assert delay(command) == (1, "", message)


def test_a_drained_queue_is_told(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["SubmitJob"] = Refusal(["JobQueueDrainError", ["x"]])
    ended = delay(command)
    assert ended.code == 1
    assert "gnt-cluster queue undrain" in ended.err


class Impatience:
    """Presses Ctrl-C in the ``nth`` wait for a job."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
        original = LuxiClient.wait_for_job_change
        self.waits = 0

        def interrupted(
            client: LuxiClient, job: int, previous: list[object] | None, serial: int, seconds: int
        ) -> object:
            self.waits += 1
            if self.waits == nth:
                raise KeyboardInterrupt
            return original(client, job, previous, serial, seconds)

        monkeypatch.setattr(LuxiClient, "wait_for_job_change", interrupted)


def test_ctrl_c_detaches_and_says_how_to_come_back(
    command: Command, luxid: FakeLuxid, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed(luxid)
    luxid.answers["WaitForJobChange"] = [[["running"], []]]
    Impatience(monkeypatch, nth=2)
    assert delay(command) == (
        1,
        "",
        "Detached: job 12 goes on without you. To follow again:\n  gnt-job watch 12\n",
    )
    assert luxid.calls("CancelJob") == []


def test_ctrl_c_names_all_jobs_that_go_on(
    command: Command, sampled_queries: FakeLuxid, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed(sampled_queries)
    sampled_queries.answers["SubmitManyJobs"] = lambda _: [[True, 1], [True, 2], [True, 3]]
    Impatience(monkeypatch, nth=2)
    ended = command(INSTANCE, "startup", "--all", "--force-multiple")
    assert ended.code == 1
    assert "jobs 2, 3 go on" in ended.err
    assert "gnt-job watch 2\n  gnt-job watch 3\n" in ended.err


def test_ctrl_c_elsewhere_aborts(
    command: Command, luxid: FakeLuxid, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LuxiClient, "submit_job", interrupt)
    ended = delay(command)
    assert ended.code == 1
    assert "Aborted" in ended.err


def test_watch_prints_the_log_and_ends_as_the_job_did(
    command: Command, luxid: FakeLuxid, utc: None
) -> None:
    luxid.answers["WaitForJobChange"] = [[["error"], [ENTRY]], [["error"], []]]
    luxid.answers["QueryJobs"] = lambda _: [["error", ["error"], [["OpExecError", ["no"]]]]]
    ended = command(JOB, "watch", "7")
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "Output of job 7:",
        "----------------",
        "Sat Nov 21 08:40:16 2026 * starting",
    ]
    assert ended.err == "Job 7 failed: Failure: command execution error:\nno\n"


def test_wait_is_silent(command: Command, luxid: FakeLuxid) -> None:
    succeed(luxid)
    luxid.answers["WaitForJobChange"] = [[["running"], [ENTRY]], [["success"], []]]
    assert command(JOB, "wait", "7") == (0, "", "")


def test_a_job_that_is_gone_is_told(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["WaitForJobChange"] = Refusal(["JobLost", ["Can't load job file"]])
    ended = command(JOB, "wait", "7")
    assert ended.code == 1
    assert "gnt-job list" in ended.err


@pytest.mark.parametrize(("word", "method"), [("pause", "PauseJob"), ("resume", "ResumeJob")])
def test_jobs_are_paused_and_resumed(
    command: Command, luxid: FakeLuxid, word: str, method: str
) -> None:
    luxid.answers[method] = [[True, "Job 7 is told"], [False, "Job 99 not found in queue"]]
    assert command(JOB, word, "7", "99") == (1, "Job 7 is told\nJob 99 not found in queue\n", "")
    assert luxid.calls(method) == [[7], [99]]
    assert command(JOB, word).code == 1
    assert "is not a job id" in command(JOB, word, "web1").err
    assert luxid.calls(method) == [[7], [99]]


def test_jobs_are_made_to_log_more(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["SetJobLogLevel"] = [[True, "told"], [False, "Job 9 is not at work"]]
    assert command(JOB, "log-level", "debug", "7", "9") == (1, "told\nJob 9 is not at work\n", "")
    assert luxid.calls("SetJobLogLevel") == [[7, "debug"], [9, "debug"]]
    assert command(JOB, "log-level", "loud", "7").code == 1


def test_a_job_id_is_a_number(command: Command, luxid: FakeLuxid) -> None:
    ended = command(JOB, "wait", "-1")
    assert ended.code == 2
    ended = command(JOB, "wait", "seven")
    assert (ended.code, ended.err) == (
        1,
        "Failure: 'seven' is not a job id; ids are whole numbers\n",
    )
