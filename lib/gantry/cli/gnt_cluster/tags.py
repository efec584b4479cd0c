"""The cluster's tags, and searching all tags."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import run_opcode
from gantry.cli.standard_options import PRIORITY
from gantry.cli.tags import tag_commands


def run_search_tags(call: Invocation) -> int:
    """Print where tags that match a pattern are."""
    opcode = call.opcode("OP_TAGS_SEARCH", {"pattern": call.arguments[0]})
    found = run_opcode(call, opcode)
    if not isinstance(found, list) or not found:
        return exit_codes.FAILURE
    for path, tag in found:
        call.say(f"{path} {tag}")
    return exit_codes.SUCCESS


COMMANDS = (
    *tag_commands("cluster"),
    Command("search-tags", run_search_tags, (Arguments("unknown", 1, 1),), (PRIORITY,)),
)
