"""``gnt-os``: operating system definitions."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gantry.cli import exit_codes
from gantry.cli.command import Command, Known, Program
from gantry.cli.errors import PeerMisuse
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import run_opcode
from gantry.cli.options import Option
from gantry.cli.program import run
from gantry.cli.standard_options import FORMAT, NO_HEADERS, PRIORITY
from gantry.cli.table import Column, render

LIST_OPTIONS: tuple[Option[object], ...] = (NO_HEADERS, PRIORITY, FORMAT)
DIAGNOSE_OPTIONS: tuple[Option[object], ...] = (PRIORITY,)


def run_os_list(call: Invocation) -> int:
    """List the definitions that are usable on all nodes, with their variants."""
    rows = _diagnosis(call, ["name", "variants", "valid", "hidden", "blacklisted"])
    names = [
        name
        for definition, variants, valid, hidden, blacklisted in rows
        if valid and not hidden and not blacklisted
        for name in variant_names(str(definition), variants)
    ]
    form = call.options[FORMAT]
    if form != "table":
        from gantry.cli import machine_output

        sys.stdout.write(machine_output.render([{"name": name} for name in names], form))
        return exit_codes.SUCCESS
    headers = not call.options[NO_HEADERS]
    for line in render([Column("Name")], [[name] for name in names], headers=headers):
        call.say(line)
    return exit_codes.SUCCESS


def _diagnosis(call: Invocation, fields: list[str]) -> list[list[object]]:
    opcode = call.opcode("OP_OS_DIAGNOSE", {"output_fields": fields, "names": []})
    rows = run_opcode(call, opcode)
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and len(row) == len(fields) for row in rows
    ):
        raise PeerMisuse("a list of operating systems that is no table")
    return rows


def variant_names(definition: str, variants: object) -> list[str]:
    """Return what can be installed: the definition itself, or each of its variants."""
    if isinstance(variants, list) and variants:
        return [f"{definition}+{variant}" for variant in variants]
    return [definition]


def run_diagnose(call: Invocation) -> int:
    """Say for each node which definitions it has, and what is wrong with them."""
    rows = _diagnosis(call, ["name", "valid", "variants", "node_status", "hidden", "blacklisted"])
    bad = False
    for name, valid, variants, nodes, hidden, blacklisted in rows:
        statuses = nodes if isinstance(nodes, dict) else {}
        state = _overall(valid, statuses)
        bad = bad or state != "valid"
        marks = (" [hidden]" if hidden else "") + (" [blacklisted]" if blacklisted else "")
        call.say(f"OS: {name} [global status: {state}]{marks}")
        if isinstance(variants, list) and variants:
            call.say(f"  Variants: [{', '.join(map(str, variants))}]")
        for node in sorted(statuses):
            _say_node(call, node, statuses[node])
        call.say()
    return exit_codes.FAILURE if bad else exit_codes.SUCCESS


def _overall(valid: object, nodes: Mapping[str, object]) -> str:
    if valid:
        return "valid"
    usable = [node for node, found in nodes.items() if _is_usable(found)]
    return "partial valid" if usable else "invalid"


def _is_usable(found: object) -> bool:
    match found:
        case [[_path, True, *_], *_]:
            return True
        case _:
            return False


def _say_node(call: Invocation, node: str, found: object) -> None:
    entries = found if isinstance(found, list) else []
    if not entries:
        call.say(f"  Node: {node}, status: not found")
    for at, entry in enumerate(entries):
        match entry:
            case [path, valid, message, _variants, _parameters, versions, trusted, *_]:
                status = "valid" if valid else "invalid"
                details = f", {message}" if message else ""
                shown = ", ".join(map(str, versions)) if isinstance(versions, list) else versions
                trust = "trusted" if trusted else "untrusted"
                head = f"Node: {node}, status: " if at == 0 else "hidden by the above: "
                call.say(
                    f"  {head}{status} (path: {path}{details}) [API versions: {shown}] [{trust}]"
                )
            case other:
                raise PeerMisuse(f"a node's operating system {other!r}")


COMMANDS = (
    Command("diagnose", run_diagnose, (), DIAGNOSE_OPTIONS),
    Command("list", run_os_list, (), LIST_OPTIONS),
)

PROGRAM = Program(
    "gnt-os",
    "gantry.cli",
    (
        Known("diagnose", "Tells what is wrong with OS definitions", "gnt_os"),
        Known("info", "Shows the parameters of OS definitions"),
        Known("list", "Lists OS definitions that all nodes have", "gnt_os"),
        Known("modify", "Changes the cluster's settings of an OS definition"),
    ),
    {"show": "info"},
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
