"""What a program and its commands are.

A program knows its commands by name; what a command takes and does is in a module that is
imported only when the command is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import NamedTuple

from gantry.cli.invocation import Invocation
from gantry.cli.options import Option

Handler = Callable[[Invocation], int]


class Arguments(NamedTuple):
    """A run of arguments of one kind; ``most`` is ``None`` for any number."""

    kind: str
    least: int
    most: int | None
    choices: tuple[str, ...] = ()


class Command(NamedTuple):
    """A command: what it does, and what it takes."""

    name: str
    handler: Handler
    arguments: tuple[Arguments, ...] = ()
    options: tuple[Option[object], ...] = ()
    notes: str = ""
    """More help, printed below the options."""


class Known(NamedTuple):
    """A command by its name; one without a module is not available yet, and refuses."""

    name: str
    summary: str
    module: str = ""
    """The module whose ``COMMANDS`` has the command, below the program's package."""


class Program(NamedTuple):
    """A program and its commands."""

    name: str
    package: str
    commands: tuple[Known, ...]
    aliases: Mapping[str, str] = {}
    default_words: Mapping[str, str] = {}
    """Environment variables whose words are put after a command: ``{variable: command}``."""

    def find(self, word: str) -> Known | None:
        """Return the command of a name or an alias."""
        name = self.aliases.get(word, word)
        return next((known for known in self.commands if known.name == name), None)

    def load(self, known: Known) -> Command:
        """Import an available command."""
        module = import_module(f"{self.package}.{known.module}")
        commands: tuple[Command, ...] = module.COMMANDS
        return next(command for command in commands if command.name == known.name)
