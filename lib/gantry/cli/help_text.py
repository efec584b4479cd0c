"""Help: the commands of a program, and what a command takes."""

from __future__ import annotations

from gantry.cli.command import Arguments, Command, Known, Program
from gantry.cli.options import Option
from gantry.cli.standard_options import COMMON, HELP


def usage_line(program: Program, command: Command) -> str:
    """Return how a command is given, in one line."""
    words = [program.name, command.name, "[<opts>...]", *map(_usage, command.arguments)]
    return " ".join(words)


def _usage(arguments: Arguments) -> str:
    word = "|".join(arguments.choices) or f"<{arguments.kind}>"
    if arguments.most is None:
        return f"{word}..." if arguments.least else f"[{word}...]"
    return word if arguments.least else f"[{word}]"


def program_usage(program: Program) -> str:
    """Return the list of a program's commands."""
    width = max(len(known.name) for known in program.commands)
    lines = [
        f"Usage: {program.name} {{command}} [options...] [argument...]",
        f"{program.name} <command> --help to see details, or man {program.name}",
        "",
        "Commands:",
    ]
    for known in sorted(program.commands):
        state = "" if known.module else " (not available yet)"
        lines.append(f" {known.name:<{width}} - {known.summary}{state}")
    return "\n".join([*lines, "", ""])


def command_help(program: Program, known: Known, command: Command) -> str:
    """Return the help of one command."""
    lines = [f"Usage: {usage_line(program, command)}", "", known.summary, "", "Options:"]
    for option in (*command.options, *COMMON, HELP):
        spelled = ", ".join(
            f"{name}={option.example}" if option.takes_value and name.startswith("--") else name
            for name in option.flags
        )
        lines.append(f"  {spelled}\n        {option.help}{_shown_default(option)}")
    if command.notes:
        lines += ["", command.notes.strip()]
    return "\n".join([*lines, ""])


def _shown_default(option: Option[object]) -> str:
    if not option.takes_value or option.default in (None, [], {}):
        return ""
    return f" (default: {option.default})"
