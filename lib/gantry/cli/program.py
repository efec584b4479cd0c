"""A program with sub-commands: finding the command, checking its arguments, ending well.

Ganeti's conventions: no or an unknown command prints the usage and ends with 1, a wrong option
ends with 2, a wrong number of arguments with 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from gantry.cli import exit_codes
from gantry.cli.command import Command, Known, Program
from gantry.cli.errors import CommandError, UsageError
from gantry.cli.invocation import Invocation, OnlyPlanned
from gantry.cli.options import parse
from gantry.cli.standard_options import COMMON, DEBUG, HELP


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
    known = program.find(line[0]) if line else None
    if known is None:
        return _run_without_command(program, line)
    if not known.module:
        raise CommandError(f"{program.name} {known.name} is not available yet")
    return _run_command(program, known, _default_words(program, known) + line[1:])


def _run_without_command(program: Program, line: list[str]) -> int:
    if line == ["--version"]:
        from gantry.cli.version import version_line

        sys.stdout.write(f"{version_line(program.name)}\n")
        return exit_codes.SUCCESS
    from gantry.cli.help_text import program_usage

    sys.stdout.write(program_usage(program))
    return exit_codes.SUCCESS if line[:1] in (["-h"], ["--help"]) else exit_codes.FAILURE


def _default_words(program: Program, known: Known) -> list[str]:
    for variable, name in program.default_words.items():
        if name == known.name and (text := os.environ.get(variable)):
            import shlex

            return shlex.split(text)
    return []


def _run_command(program: Program, known: Known, words: list[str]) -> int:
    command = program.load(known)
    try:
        options, arguments = parse((*command.options, *COMMON, HELP), words)
    except UsageError:
        from gantry.cli.help_text import usage_line

        sys.stderr.write(f"Usage: {usage_line(program, command)}\n\n")
        raise
    if options[HELP]:
        from gantry.cli.help_text import command_help

        sys.stdout.write(command_help(program, known, command))
        return exit_codes.SUCCESS
    check_arguments(command, arguments)
    invocation = Invocation(program.name, command.name, options, arguments)
    try:
        return command.handler(invocation)
    except OnlyPlanned:
        return exit_codes.SUCCESS
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
