"""``list-tags``, ``add-tags``, ``remove-tags`` of all programs, and ``search-tags``."""

from __future__ import annotations

import sys
from typing import Literal

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.options import Option
from gantry.cli.standard_options import DRY_RUN, PRIORITY, SUBMISSION, TAGS_SOURCE

TaggedKind = Literal["cluster", "node", "nodegroup", "instance", "network"]

CHANGE_OPTIONS: tuple[Option[object], ...] = (TAGS_SOURCE, PRIORITY, DRY_RUN, *SUBMISSION)
ANY_TAGS = Arguments("unknown", 0, None)


def tag_commands(kind: TaggedKind) -> tuple[Command, ...]:
    """Return the commands for the tags of one kind of object."""
    noun = "group" if kind == "nodegroup" else kind
    target = () if kind == "cluster" else (Arguments(noun, 1, 1),)

    def run_list_tags(call: Invocation) -> int:
        tags = call.client.call("QueryTags", kind, _target(kind, call))
        for tag in sorted(map(str, tags)) if isinstance(tags, list) else ():
            call.say(tag)
        return exit_codes.SUCCESS

    def run_add_tags(call: Invocation) -> int:
        return _change(call, kind, "OP_TAGS_SET")

    def run_remove_tags(call: Invocation) -> int:
        return _change(call, kind, "OP_TAGS_DEL")

    changed = (*target, ANY_TAGS)
    return (
        Command("list-tags", run_list_tags, target),
        Command("add-tags", run_add_tags, changed, CHANGE_OPTIONS),
        Command("remove-tags", run_remove_tags, changed, CHANGE_OPTIONS),
    )


def _target(kind: TaggedKind, call: Invocation) -> str:
    return "" if kind == "cluster" else call.arguments[0]


def _change(call: Invocation, kind: TaggedKind, opcode: str) -> int:
    tags = call.arguments if kind == "cluster" else call.arguments[1:]
    tags = [*tags, *_tags_of_file(call.options[TAGS_SOURCE])]
    if not tags:
        raise CommandError("Failure: no tags were given")
    # LuxiD takes null, and nothing else, for the name of the cluster.
    name = None if kind == "cluster" else call.arguments[0]
    submit_or_run(call, call.opcode(opcode, {"kind": kind, "name": name, "tags": tags}))
    return exit_codes.SUCCESS


def _tags_of_file(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        if path == "-":
            lines = sys.stdin.read().splitlines()
        else:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
    except (OSError, UnicodeError) as error:
        raise CommandError(f"Failure: the tags can not be read from {path}: {error}") from None
    return [line.strip() for line in lines if line.strip()]
