"""Ganeti's conventions: usage, exit codes, errors for people, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid, Refusal, Sample

from gantry.cli.command import Command as Declared
from gantry.cli.command import Known, Program
from gantry.cli.gnt_cluster.program import PROGRAM as CLUSTER
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.gnt_node.program import PROGRAM as NODE


@pytest.mark.parametrize(("words", "code"), [((), 1), (("nosuch",), 1), (("--help",), 0)])
def test_usage_is_printed_on_standard_output(
    command: Command, words: tuple[str, ...], code: int
) -> None:
    ended = command(INSTANCE, *words)
    assert (ended.code, ended.err) == (code, "")
    assert ended.out.startswith("Usage: gnt-instance {command} [options...] [argument...]\n")
    assert " startup          - Starts instances\n" in ended.out


def test_what_does_not_exist_yet_is_refused_whatever_its_options(command: Command) -> None:
    ended = command(CLUSTER, "rename", "--nosuch", "x")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "gnt-cluster rename is not available yet\n"


def test_an_alias_is_the_command_that_it_stands_for(command: Command) -> None:
    ended = command(CLUSTER, "masterfailover", "--nosuch")
    assert "gnt-cluster master-failover" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--nosuch",), "no such option: --nosuch"),
        (("-Z",), "no such option: -Z"),
        (("--no",), "ambiguous option: --no"),
        (("-o",), "-o option requires 1 argument"),
        (("--no-headers=1",), "--no-headers option does not take a value"),
        (("--units", "k"), "option --units: 'k' is none of h, m, g, t"),
    ],
)
def test_a_wrong_option_ends_with_2(command: Command, words: tuple[str, ...], message: str) -> None:
    # --no is ambiguous with the node parameters of another command.
    ended = command(
        NODE if words == ("--no",) else INSTANCE, "add" if words == ("--no",) else "list", *words
    )
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: gnt-")
    assert message in ended.err


@pytest.mark.parametrize(
    ("program", "words", "expectation"),
    [
        (INSTANCE, ("remove",), "Command remove expects 1 argument(s)"),
        (INSTANCE, ("remove", "a", "-f"), "Command remove expects 1 argument(s)"),
        (JOB, ("archive",), "Command archive expects at least 1 argument(s)"),
        (CLUSTER, ("info", "x"), "Command info expects no arguments"),
        (CLUSTER, ("watcher", "info", "1", "2"), "Command watcher expects at most 2 argument(s)"),
        (CLUSTER, ("queue", "burn"), "'burn' is none of drain, undrain, pause, resume, info"),
    ],
)
def test_wrong_arguments_end_with_1(
    command: Command, program: Program, words: tuple[str, ...], expectation: str
) -> None:
    ended = command(program, *words)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"Error: {expectation}")


def test_options_end_at_the_first_argument_and_may_be_shortened(
    command: Command, sampled_queries: FakeLuxid
) -> None:
    ended = command(INSTANCE, "list", "--no-head", "-oname", "--", "inst1")
    assert (ended.code, ended.out) == (0, "inst1.gnt.test\n")


def test_options_come_from_the_environment_too(
    command: Command, sampled_queries: FakeLuxid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNT_INSTANCE_LIST", "--no-headers -o 'name,status'")
    ended = command(INSTANCE, "list", "inst2")
    assert ended.out == "inst2.gnt.test running\n"


def test_a_machine_without_a_cluster_ends_with_5(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    ended = command(INSTANCE, "list")
    assert ended.code == 5
    assert "not part of a cluster" in ended.err


def test_a_node_that_is_not_the_master_ends_with_11(
    command: Command, cluster_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANETI_HOSTNAME", "node2")
    ended = command(INSTANCE, "list")
    assert ended.code == 11
    assert "give the command on node1" in ended.err


def test_an_unusable_configuration_ends_with_2(command: Command, luxid: FakeLuxid) -> None:
    luxid.answers["Query"] = Refusal(["ConfigurationError", ["config.data is torn"]])
    ended = command(INSTANCE, "list")
    assert ended.code == 2
    assert "config.data is torn" in ended.err


def test_an_error_is_told_as_ganeti_tells_it(
    command: Command, sampled_queries: FakeLuxid, printed: dict[str, Sample]
) -> None:
    expected = printed["gnt-instance list nosuch"]
    ended = command(INSTANCE, "list", "nosuch")
    assert (ended.code, ended.out, ended.err) == (
        expected["rc"],
        expected["stdout"],
        expected["stderr"],
    )


def _defect(_call: object) -> int:
    raise RuntimeError("off by one")


COMMANDS = (Declared("break", _defect),)
PACKAGE, _, MODULE = __name__.rpartition(".")
BROKEN = Program("gnt-broken", PACKAGE, (Known("break", "Breaks", MODULE),))


def test_a_defect_shows_no_traceback_unless_asked(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GANTRY_DEBUG", raising=False)
    ended = command(BROKEN, "break")
    assert ended.code == 1
    assert "internal error: RuntimeError: off by one" in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in command(BROKEN, "break", "--debug").err
    monkeypatch.setenv("GANTRY_DEBUG", "1")
    assert "Traceback" in command(BROKEN, "break").err


def test_every_command_has_help(command: Command) -> None:
    for program in (CLUSTER, INSTANCE, JOB, NODE):
        for declared in program.commands:
            if declared.module:
                ended = command(program, declared.name, "--help")
                assert (ended.code, ended.err) == (0, "")
                assert ended.out.startswith(f"Usage: {program.name} {declared.name}")


def test_the_help_of_node_add_tells_how_to_join(command: Command) -> None:
    assert "gantry token NODE" in command(NODE, "add", "--help").out
