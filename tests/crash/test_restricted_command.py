"""A command that must not be run twice: whoever dies around it, a person has the last word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs, paths_of
from tests.crash.killing import kill_at
from tests.crash.plain_os import until

from gantry.cli.luxi import Opcode

BEGUN = 3
"""What is held, the plan, and that its only step is about to act."""

ASKED = BEGUN + 1


@frozen
class Command:
    """A restricted command of node2 that notes when it begins, and ends when it may."""

    runs: Path
    may_end: Path

    @property
    def opcode(self) -> Opcode:
        return {
            "OP_ID": "OP_RESTRICTED_COMMAND",
            "nodes": [op.full("node2")],
            "command": "flash",
            "use_locking": True,
        }

    def times_run(self) -> int:
        return self.runs.read_text().count("run\n") if self.runs.exists() else 0


@pytest.fixture
def command(cluster: DevCluster, tmp_path: Path) -> Iterator[Command]:
    made = Command(tmp_path / "runs", tmp_path / "may-end")
    file = paths_of(cluster, "node2").etc / "restricted-commands" / "flash"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    wait = f"while [ ! -e {made.may_end} ]; do sleep 0.02; done"
    file.write_text(f"#!/bin/sh\necho run >>{made.runs}\n{wait}\necho flashed\n")
    file.chmod(0o755)
    yield made
    made.may_end.touch()  # what nobody waits for any more ends, too
    file.unlink()


def test_the_death_of_the_job_does_not_run_it_again(
    cluster: DevCluster, jobs: Jobs, command: Command
) -> None:
    job = jobs.submit(command.opcode)
    until(lambda: command.times_run() == 1)
    assert kill_at(cluster, job, BEGUN) == BEGUN
    command.may_end.touch()
    ended = jobs.wait(job)
    assert (ended.status, ended.results) == ("success", ([[True, "flashed\n"]],))
    assert command.times_run() == 1


@pytest.mark.parametrize(
    ("choice", "status", "said", "times"),
    [
        ("skip", "success", "its end is not known", 1),
        ("redo", "success", "flashed", 2),
        ("abort", "error", "aborted by decision", 1),
    ],
)
def test_if_its_end_is_not_known_a_person_decides(
    cluster: DevCluster,
    jobs: Jobs,
    command: Command,
    choice: str,
    status: str,
    said: str,
    times: int,
) -> None:
    job = jobs.submit(command.opcode)
    until(lambda: command.times_run() == 1)
    cluster.kill("gantry-noded", "node2")
    jobs.wait_for_log(job, "waiting for a decision")
    for _ in range(4):  # more than it takes to turn a job back
        assert kill_at(cluster, job, ASKED) == ASKED
    cluster.kill("gantry-luxid")
    command.may_end.touch()
    info = cluster.run("gnt-job", "info", str(job))
    assert "Waits for a decision" in info
    cluster.run("gnt-job", "decide", str(job), choice)
    ended = jobs.wait(job)
    assert ended.status == status
    assert said in str(ended.results)
    assert command.times_run() == times


def test_the_command_line_tells_what_came_of_it(cluster: DevCluster, command: Command) -> None:
    command.may_end.touch()
    words = ("gnt-node", "restricted-command", "-M")
    shown = cluster.run(*words, "flash", op.full("node2"))
    assert shown.splitlines()[-1] == f"{op.full('node2')}: flashed"
    refused = cluster.run(*words, "flash", op.full("node1"), op.full("node2"), status=1)
    assert f"{op.full('node1')}: error: the command could not be run" in refused
    plan = cluster.run("gnt-node", "restricted-command", "--dry-run", "flash", op.full("node2"))
    assert "once" in plan
    assert command.times_run() == 2
