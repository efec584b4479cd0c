"""The ``list`` and ``list-fields`` commands: a query, and its answer as a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gantry.cli import exit_codes
from gantry.cli.cell_text import NORMAL, RIGHT_ALIGNED, Formatter, cell_text
from gantry.cli.command import Arguments, Command
from gantry.cli.invocation import Invocation
from gantry.cli.luxi import FieldDefinition, QueryAnswer
from gantry.cli.options import Option
from gantry.cli.query_filter import condition_of
from gantry.cli.standard_options import (
    FORCE_FILTER,
    FORMAT,
    NO_HEADERS,
    OUTPUT,
    SEPARATOR,
    UNITS,
    VERBOSE_FIELDS,
)
from gantry.cli.table import Column, render
from gantry.cli.terminal import STATUS_COLOURS, painted, wants_colour

LIST_OPTIONS: tuple[Option[object], ...] = (
    NO_HEADERS,
    SEPARATOR,
    UNITS,
    OUTPUT,
    VERBOSE_FIELDS,
    FORCE_FILTER,
    FORMAT,
)
LIST_FIELDS_OPTIONS: tuple[Option[object], ...] = (NO_HEADERS, SEPARATOR, FORMAT)

KIND_NAMES = {
    "unknown": "Unknown",
    "text": "Text",
    "bool": "Boolean",
    "number": "Number",
    "float": "Floating-point number",
    "unit": "Storage size",
    "timestamp": "Timestamp",
    "other": "Custom",
}
UNKNOWN_KIND = "unknown"


class Listing(NamedTuple):
    """What a ``list`` command lists."""

    what: str
    default_fields: tuple[str, ...]
    formatters: Mapping[str, Formatter] = {}
    key: str = "name"
    numeric_key: bool = False
    has_units: bool = True
    """Whether sizes are among the fields, and so a choice of their unit among the options."""
    has_filter: bool = True
    """Whether a filter can be given for the names."""


def chosen_fields(text: str | None, default: Sequence[str]) -> list[str]:
    """Return the fields of an ``-o`` value; a leading plus adds to the default."""
    if text is None:
        return list(default)
    if text.startswith("+"):
        return [*default, *text[1:].split(",")]
    return text.split(",")


def run_list(
    call: Invocation,
    listing: Listing,
    *,
    fields: Sequence[str] | None = None,
    condition: object = None,
) -> int:
    """Query, print, and return the exit code; ``condition`` narrows what the arguments name."""
    wanted = fields or chosen_fields(call.options[OUTPUT], listing.default_fields)
    named = condition_of(
        call.arguments,
        force=call.options[FORCE_FILTER],
        key=listing.key,
        numeric=listing.numeric_key,
    )
    both = [each for each in (named, condition) if each is not None]
    combined = ["&", *both] if len(both) > 1 else (both[0] if both else None)
    answer = call.client.query(listing.what, list(wanted), combined)
    print_answer(call, answer, listing.formatters)
    return _unknown_fields(call, answer.fields)


def print_answer(
    call: Invocation, answer: QueryAnswer, formatters: Mapping[str, Formatter]
) -> None:
    """Print a query's answer in the form that the options ask for."""
    form = call.options[FORMAT]
    if form != "table":
        from gantry.cli import machine_output

        names = [field.name for field in answer.fields]
        rows = [
            {
                name: content if status == NORMAL else None
                for name, (status, content) in zip(names, row, strict=True)
            }
            for row in answer.rows
        ]
        sys.stdout.write(machine_output.render(rows, form))
        return
    for line in _table_lines(call, answer, formatters):
        call.say(line)


def _table_lines(
    call: Invocation, answer: QueryAnswer, formatters: Mapping[str, Formatter]
) -> list[str]:
    separator = call.options[SEPARATOR]
    units = call.options[UNITS] or ("h" if separator is None else "m")
    columns = [
        Column(field.title, field.kind in RIGHT_ALIGNED and field.name not in formatters)
        for field in answer.fields
    ]
    rows = [
        [
            cell_text(
                field.kind,
                cell,
                units,
                formatter=formatters.get(field.name),
                verbose=call.options[VERBOSE_FIELDS],
            )
            for field, cell in zip(answer.fields, row, strict=True)
        ]
        for row in answer.rows
    ]
    return render(
        columns,
        rows,
        separator=separator,
        headers=not call.options[NO_HEADERS],
        paint=_paint_status if wants_colour(sys.stdout) else None,
    )


def _paint_status(column: Column, text: str, padded: str) -> str:
    if column.title == "Status" and (colour := STATUS_COLOURS.get(text)):
        return painted(padded, colour)
    return padded


def _unknown_fields(call: Invocation, fields: Sequence[FieldDefinition]) -> int:
    unknown = [field.name for field in fields if field.kind == UNKNOWN_KIND]
    if not unknown:
        return exit_codes.SUCCESS
    call.complain(f"Warning: Queried for unknown fields {', '.join(unknown)}")
    return exit_codes.UNKNOWN_FIELD


def run_list_fields(call: Invocation, what: str) -> int:
    """Print the fields of a resource, and return the exit code."""
    fields = call.client.query_fields(what, call.arguments or None)
    form = call.options[FORMAT]
    if form != "table":
        from gantry.cli import machine_output

        sys.stdout.write(machine_output.render([field._asdict() for field in fields], form))
    else:
        columns = [Column(title) for title in ("Name", "Type", "Title", "Description")]
        rows = [
            [field.name, KIND_NAMES.get(field.kind, field.kind), field.title, field.doc]
            for field in fields
        ]
        separator, headers = call.options[SEPARATOR], not call.options[NO_HEADERS]
        for line in render(columns, rows, separator=separator, headers=headers):
            call.say(line)
    return _unknown_fields(call, fields)


def list_commands(listing: Listing) -> tuple[Command, ...]:
    """Return ``list`` and ``list-fields`` for one kind of named object."""

    def run_named_list(call: Invocation) -> int:
        return run_list(call, listing)

    left_out: list[Option[object]] = [UNITS] * (not listing.has_units)
    left_out += [FORCE_FILTER] * (not listing.has_filter)
    options = tuple(each for each in LIST_OPTIONS if each not in left_out)
    return (
        Command("list", run_named_list, (Arguments(listing.what, 0, None),), options),
        list_fields_command(listing.what),
    )


def list_fields_command(what: str) -> Command:
    """Return ``list-fields`` for a resource."""

    def run_fields(call: Invocation) -> int:
        return run_list_fields(call, what)

    return Command("list-fields", run_fields, (Arguments("unknown", 0, None),), LIST_FIELDS_OPTIONS)
