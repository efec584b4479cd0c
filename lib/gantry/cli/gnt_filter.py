"""``gnt-filter``: rules by which queued jobs begin, wait, or are sent away."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command, Known, Program
from gantry.cli.description import Record
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.listing import Listing, list_fields_command, run_list
from gantry.cli.option_values import INTEGER, JSON, ValueType
from gantry.cli.options import Option, value_or
from gantry.cli.program import run
from gantry.cli.standard_options import (
    FORMAT,
    NO_HEADERS,
    OUTPUT,
    REASON,
    SEPARATOR,
    VERBOSE_FIELDS,
)

FIELDS = ("uuid", "watermark", "priority", "predicates", "action", "reason_trail")
TITLES = {
    "Watermark": "watermark",
    "Priority": "priority",
    "Predicates": "predicates",
    "Action": "action",
    "Reason trail": "reason_trail",
}
ACTIONS = ("ACCEPT", "CONTINUE", "PAUSE", "REJECT")
RATE_LIMIT = "RATE_LIMIT"


def parse_action(text: str) -> object:
    """Parse what a rule does.

    Raises:
        ValueError: it is nothing that a rule can do.
    """
    match text.split():
        case [word] if word in ACTIONS:
            return word
        case [word, limit] if word == RATE_LIMIT and limit.isdecimal() and int(limit) > 0:
            return [RATE_LIMIT, int(limit)]
        case _:
            raise ValueError(
                f"'{text}' is none of {', '.join(ACTIONS)} and '{RATE_LIMIT} <n>', where n is at "
                "least 1"
            )


PRIORITY = value_or(
    "--priority", "priority", INTEGER, 0, "place among the rules; lower ones are tried first"
)
PREDICATES: Option[object] = value_or(
    "--predicates", "predicates", JSON, [], "what has to be true of a job, as a JSON list", "JSON"
)
ACTION: Option[object] = value_or(
    "--action",
    "action",
    ValueType("filteraction", parse_action),
    "CONTINUE",
    "what is done with the job",
    f"{'|'.join(ACTIONS)}|'{RATE_LIMIT} <n>'",
)
RULE_OPTIONS: tuple[Option[object], ...] = (PRIORITY, PREDICATES, ACTION)
LIST_OPTIONS: tuple[Option[object], ...] = (
    NO_HEADERS,
    SEPARATOR,
    OUTPUT,
    VERBOSE_FIELDS,
    FORMAT,
)
INFO_OPTIONS: tuple[Option[object], ...] = (FORMAT,)

NOTES = """\
A predicate is a kind and an expression of the query language:
  ["jobid", [">", "id", "watermark"]]                  jobs that come after the rule
  ["opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]]     any of the job's opcodes
  ["reason", ["=", "source", "gnt:client:gnt-node"]]   any entry of its reason trails
The first rule whose predicates are all true of a job decides, unless it says CONTINUE."""


def run_filter_list(call: Invocation) -> int:
    """List filter rules."""
    return run_list(call, Listing("filter", FIELDS, key="uuid", has_units=False))


def run_info(call: Invocation) -> int:
    """Print filter rules in full."""
    rows = call.client.query_filters(call.arguments or None, list(FIELDS))
    found = [Record(dict(zip(FIELDS, row, strict=False))) for row in rows]
    missing = set(call.arguments) - {str(each["uuid"]) for each in found}
    if missing:
        raise CommandError(f"Failure: there is no filter rule {', '.join(sorted(missing))}")
    form = call.options[FORMAT]
    if form != "table":
        from gantry.cli import machine_output

        sys.stdout.write(machine_output.render([each.values() for each in found], form))
        return exit_codes.SUCCESS
    for rule in found:
        call.say(f"UUID: {rule['uuid']}")
        for title, field in TITLES.items():
            call.say(f"  {title}: {rule[field]}")
    return exit_codes.SUCCESS


def run_add(call: Invocation) -> int:
    """Add a rule and print its UUID."""
    return _replace(call, None)


def run_replace(call: Invocation) -> int:
    """Put a rule in the place of another, or add it under the UUID that is given."""
    return _replace(call, call.arguments[0])


def _replace(call: Invocation, uuid: str | None, clock: Callable[[], int] = time.time_ns) -> int:
    if call.options[PRIORITY] < 0:
        raise CommandError("Failure: a rule's --priority is at least 0")
    reason = call.options[REASON]
    trail = [["gnt:user", reason, clock()]] if reason else []
    made = call.client.call(
        "ReplaceFilter",
        uuid,
        call.options[PRIORITY],
        call.options[PREDICATES],
        call.options[ACTION],
        trail,
    )
    call.say(str(made))
    return exit_codes.SUCCESS


def run_delete(call: Invocation) -> int:
    """Remove a rule."""
    call.client.call("DeleteFilter", call.arguments[0])
    return exit_codes.SUCCESS


COMMANDS = (
    Command("add", run_add, (), RULE_OPTIONS, NOTES),
    Command("delete", run_delete, (Arguments("filter", 1, 1),)),
    Command("info", run_info, (Arguments("filter", 0, None),), INFO_OPTIONS),
    Command("list", run_filter_list, (Arguments("filter", 0, None),), LIST_OPTIONS),
    list_fields_command("filter"),
    Command("replace", run_replace, (Arguments("filter", 1, 1),), RULE_OPTIONS, NOTES),
)

PROGRAM = Program(
    "gnt-filter",
    "gantry.cli",
    (
        Known("add", "Adds a rule", "gnt_filter"),
        Known("delete", "Removes a rule", "gnt_filter"),
        Known("info", "Shows rules in full", "gnt_filter"),
        Known("list", "Lists rules; list-fields tells the fields", "gnt_filter"),
        Known("list-fields", "Lists the fields that rules have", "gnt_filter"),
        Known("replace", "Puts a rule in the place of another", "gnt_filter"),
    ),
)


def main() -> None:
    """Run the program."""
    sys.exit(run(PROGRAM))
