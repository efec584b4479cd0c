"""Commands, arguments and options are Ganeti's, but for a few named additions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from gantry.cli.command import Command, Program
from gantry.cli.gnt_cluster.program import PROGRAM as CLUSTER
from gantry.cli.gnt_debug import PROGRAM as DEBUG
from gantry.cli.gnt_filter import PROGRAM as FILTER
from gantry.cli.gnt_group.program import PROGRAM as GROUP
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.gnt_network.program import PROGRAM as NETWORK
from gantry.cli.gnt_node.program import PROGRAM as NODE
from gantry.cli.gnt_os import PROGRAM as OS
from gantry.cli.options import Option
from gantry.cli.standard_options import DRY_RUN, PRIORITY

PROGRAMS = (CLUSTER, DEBUG, FILTER, GROUP, INSTANCE, JOB, NETWORK, NODE, OS)
FACTS = json.loads((Path(__file__).parents[2] / "facts/cli.json").read_text())["programs"]
ADDED = {"format", "force_quorum"}
"""Options that Ganeti does not have, by their names in the program."""

ADDED_COMMANDS = {
    "gnt-network": {"rename"},
    "gnt-node": {"clean-up"},
    "gnt-cluster": {"verify-config"},
    "gnt-job": {"decide", "log-level", "pause", "resume"},
}
ADDED_CHOICES = {"gnt-cluster queue": {"pause", "resume"}}

ADDED_DRY_RUN = {
    *(
        f"{program} {verb}-tags"
        for program in ("gnt-cluster", "gnt-group", "gnt-instance", "gnt-network", "gnt-node")
        for verb in ("add", "remove")
    ),
    *(
        f"gnt-node {verb}"
        for verb in ("add", "evacuate", "failover", "migrate", "restricted-command")
    ),
    "gnt-network connect",
    "gnt-network disconnect",
    "gnt-cluster destroy",
    "gnt-cluster verify-disks",
    "gnt-instance activate-disks",
}
"""Commands that change something and have no --dry-run in Ganeti."""

NOT_CHANGING = {
    "gnt-cluster search-tags",
    "gnt-cluster verify-config",
    "gnt-instance console",
    "gnt-instance info",
} | {f"gnt-os {verb}" for verb in ("diagnose", "list")}
"""Commands whose jobs change nothing."""

Fact = dict[str, object]

AVAILABLE = [
    pytest.param(program, program.load(known), id=f"{program.name} {known.name}")
    for program in PROGRAMS
    for known in program.commands
    if known.module
]
GANETIS = [
    pytest.param(program, program.load(known), id=f"{program.name} {known.name}")
    for program in PROGRAMS
    for known in program.commands
    if known.module and known.name not in ADDED_COMMANDS.get(program.name, ())
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.name))
def test_every_command_of_ganeti_is_known(program: Program) -> None:
    added = ADDED_COMMANDS.get(program.name, set())
    names = [command.name for command in program.commands if command.name not in added]
    assert sorted(names) == sorted(FACTS[program.name]["commands"])
    assert dict(program.aliases) == FACTS[program.name]["aliases"]
    assert list(program.default_words) == FACTS[program.name]["env_args_override"]


@pytest.mark.parametrize(("program", "command"), GANETIS)
def test_arguments_are_ganetis(program: Program, command: Command) -> None:
    expected = FACTS[program.name]["commands"][command.name]["args"]
    added = ADDED_CHOICES.get(f"{program.name} {command.name}", set())
    actual = [
        {"kind": each.kind, "min": each.least, "max": each.most}
        | ({"choices": [c for c in each.choices if c not in added]} if each.choices else {})
        for each in command.arguments
    ]
    assert actual == expected


def _comparable(option: Option[object]) -> Fact:
    fact: Fact = {
        "flags": list(option.flags),
        "dest": option.dest,
        "action": option.action,
        "default": option.default,
    }
    if option.type is not None:
        fact["type"] = option.type.name
        if option.type.choices:
            fact["choices"] = sorted(option.type.choices)
    if option.action == "store_const":
        fact["const"] = option.const
    return fact


def _normal(fact: Fact) -> Fact:
    """Bring a fact into our form: numbers given as text, sets of statuses as words."""
    normal = {key: fact[key] for key in ("flags", "dest", "action", "default")}
    if "type" in fact:
        normal["type"] = fact["type"]
    if fact.get("type") == "int" and isinstance(fact["default"], str):
        normal["default"] = int(fact["default"])
    if fact["dest"] == "primary_ip_version":
        normal["default"] = str(fact["default"])
    if fact["dest"] == "yes_do_it":
        normal["default"] = False
    if "choices" in fact:
        normal["choices"] = sorted(cast("list[str]", fact["choices"]))
    if fact["action"] == "store_const":
        normal["const"] = fact["const"]
    return normal


def _statuses(fact: Fact) -> Fact:
    if fact["dest"] != "status_filter":
        return fact
    text = str(fact["const"])
    words = [
        word.strip("'{}()") for word in text.removeprefix("frozenset(").replace(",", " ").split()
    ]
    return {**fact, "const": sorted(words)}


@pytest.mark.parametrize(("program", "command"), GANETIS)
def test_options_are_ganetis(program: Program, command: Command) -> None:
    expected = FACTS[program.name]["commands"][command.name]["options"]
    added = ADDED | ({"dry_run"} if f"{program.name} {command.name}" in ADDED_DRY_RUN else set())
    actual = [_comparable(option) for option in command.options if option.dest not in added]

    def by_flags(facts: list[Fact]) -> list[Fact]:
        return sorted(map(_statuses, facts), key=lambda fact: str(fact["flags"]))

    assert by_flags(actual) == by_flags([_normal(fact) for fact in expected])


@pytest.mark.parametrize(("program", "command"), AVAILABLE)
def test_every_changing_command_can_be_tried(program: Program, command: Command) -> None:
    """What has a priority submits jobs."""
    name = f"{program.name} {command.name}"
    if PRIORITY in command.options and name not in NOT_CHANGING and program is not JOB:
        assert DRY_RUN in command.options


@pytest.mark.parametrize(("program", "command"), AVAILABLE)
def test_a_flag_means_one_thing(program: Program, command: Command) -> None:
    flags = [name for option in command.options for name in option.flags]
    assert len(flags) == len(set(flags))
