"""A program with sub-commands: finding the command, checking its arguments, ending well.

Ganeti's conventions: no or an unknown command prints the usage and ends with 1, a wrong option
ends with 2, a wrong number of arguments with 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gantry.cli import exit_codes
from gantry.cli.errors import CommandError, UsageError
from gantry.cli.invocation import Invocation
from gantry.cli.options import Option, parse
from gantry.cli.standard_options import COMMON, DEBUG, HELP

Handler = Callable[[Invocation], int]


class Arguments(NamedTuple):
    """A run of arguments of one kind; ``most`` is ``None`` for any number."""

    kind: str
    least: int
    most: int | None
    choices: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """How the arguments are shown in a usage line."""
        word = "|".join(self.choices) or f"<{self.kind}>"
        if self.most is None:
            return f"{word}..." if self.least else f"[{word}...]"
        return word if self.least else f"[{word}]"


class Command(NamedTuple):
    """A sub-command; one without a handler is known, but not available."""

    name: str
    summary: str
    handler: Handler | None = None
    arguments: tuple[Arguments, ...] = ()
    options: tuple[Option[object], ...] = ()
    notes: str = ""
    """More help, printed below the options."""


class Program(NamedTuple):
    """A program and its commands."""

    name: str
    commands: tuple[Command, ...]
    aliases: Mapping[str, str] = {}
    default_words: Mapping[str, str] = {}
    """Environment variables whose words are put after a command: ``{variable: command}``."""

    def find(self, word: str) -> Command | None:
        """Return the command of a name or an alias."""
        name = self.aliases.get(word, word)
        return next((command for command in self.commands if command.name == name), None)


def unavailable(name: str, summary: str) -> Command:
    """Return a command of Ganeti that does not exist here yet; it refuses."""
    return Command(name, summary)


def run(program: Program, words: Sequence[str] | None = None) -> int:
    """Run a program and return its exit code; errors are told on standard error."""
    debugging = bool(os.environ.get("GANTRY_DEBUG"))
    line = list(sys.argv[1:] if words is None else words)
    try:
        return _run(program, line)
    except (CommandError, KeyboardInterrupt, BrokenPipeError) as error:
        if debugging or _asks_for_tracebacks(line):
            import traceback

            traceback.print_exc()
        return _tell(program, error)
    except Exception as error:  # noqa: BLE001 - the last resort: no traceback for the user
        if debugging or _asks_for_tracebacks(line):
            import traceback

            traceback.print_exc()
        sys.stderr.write(
            f"{program.name}: internal error: {type(error).__name__}: {error}\n"
            "This is a defect; GANTRY_DEBUG=1 shows where it happened.\n"
        )
        return exit_codes.FAILURE
    finally:
        _flush()


def _asks_for_tracebacks(line: Sequence[str]) -> bool:
    return any(word in DEBUG.flags for word in line)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left; keep the interpreter from flushing once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(program: Program, error: CommandError | KeyboardInterrupt | BrokenPipeError) -> int:
    _flush()
    match error:
        case UsageError():
            sys.stderr.write(f"{program.name}: error: {error.text}\n")
            return error.exit_code
        case CommandError():
            sys.stderr.write(f"{error.text}\n")
            return error.exit_code
        case KeyboardInterrupt():
            sys.stderr.write("\nAborted; jobs already submitted go on (see gnt-job list)\n")
        case BrokenPipeError():
            pass
    return exit_codes.FAILURE


def _run(program: Program, line: list[str]) -> int:
    if not line or line[0] in ("-h", "--help"):
        sys.stdout.write(program_usage(program))
        return exit_codes.SUCCESS if line else exit_codes.FAILURE
    if line[0] == "--version":
        from gantry.cli.version import version_line

        sys.stdout.write(f"{version_line(program.name)}\n")
        return exit_codes.SUCCESS
    command = program.find(line[0])
    if command is None:
        sys.stdout.write(program_usage(program))
        return exit_codes.FAILURE
    if command.handler is None:
        raise CommandError(f"{program.name} {command.name} is not available yet")
    return _run_command(
        program, command, command.handler, _default_words(program, command) + line[1:]
    )


def _default_words(program: Program, command: Command) -> list[str]:
    for variable, name in program.default_words.items():
        if name == command.name and (text := os.environ.get(variable)):
            import shlex

            return shlex.split(text)
    return []


def _run_command(program: Program, command: Command, handler: Handler, words: list[str]) -> int:
    try:
        options, arguments = parse((*command.options, *COMMON, HELP), words)
    except UsageError:
        sys.stderr.write(f"Usage: {_usage_line(program, command)}\n\n")
        raise
    if options[HELP]:
        sys.stdout.write(command_help(program, command))
        return exit_codes.SUCCESS
    check_arguments(command, arguments)
    invocation = Invocation(program.name, command.name, options, arguments)
    try:
        return handler(invocation)
    finally:
        invocation.close()


def check_arguments(command: Command, arguments: Sequence[str]) -> None:
    """Check the number of arguments, and those that are one of a few words.

    Raises:
        CommandError: they do not fit.
    """
    least = sum(expected.least for expected in command.arguments)
    most: int | None = 0
    for run_of_arguments in command.arguments:
        most = (
            None if run_of_arguments.most is None or most is None else most + run_of_arguments.most
        )
    expectation = ""
    if most == 0 and arguments:
        expectation = "no arguments"
    elif most == least and len(arguments) != least:
        expectation = f"{least} argument(s)"
    elif len(arguments) < least:
        expectation = f"at least {least} argument(s)"
    elif most is not None and len(arguments) > most:
        expectation = f"at most {most} argument(s)"
    if expectation:
        raise CommandError(f"Error: Command {command.name} expects {expectation}")
    for expected, word in zip(command.arguments, arguments, strict=False):
        if expected.kind == "choice" and word not in expected.choices:
            raise CommandError(
                f"Error: '{word}' is none of {', '.join(expected.choices)} for {command.name}"
            )


def _usage_line(program: Program, command: Command) -> str:
    return " ".join(
        [program.name, command.name, "[<opts>...]", *(each.usage for each in command.arguments)]
    )


def program_usage(program: Program) -> str:
    """Return the list of a program's commands."""
    width = max(len(command.name) for command in program.commands)
    lines = [
        f"Usage: {program.name} {{command}} [options...] [argument...]",
        f"{program.name} <command> --help to see details, or man {program.name}",
        "",
        "Commands:",
    ]
    for command in sorted(program.commands, key=lambda each: each.name):
        state = "" if command.handler else " (not available yet)"
        lines.append(f" {command.name:<{width}} - {command.summary}{state}")
    return "\n".join([*lines, "", ""])


def command_help(program: Program, command: Command) -> str:
    """Return the help of one command."""
    lines = [f"Usage: {_usage_line(program, command)}", "", command.summary, "", "Options:"]
    for option in (*command.options, *COMMON, HELP):
        spelled = ", ".join(
            f"{name}={option.example}" if option.takes_value and name.startswith("--") else name
            for name in option.flags
        )
        default = _shown_default(option)
        lines.append(f"  {spelled}\n        {option.help}{default}")
    if command.notes:
        lines += ["", command.notes.strip()]
    return "\n".join([*lines, ""])


def _shown_default(option: Option[object]) -> str:
    if not option.takes_value or option.default in (None, [], {}):
        return ""
    return f" (default: {option.default})"
