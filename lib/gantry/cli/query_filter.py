"""Which resources the arguments of a ``list`` command mean: names, globs, or a filter."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.cli.errors import CommandError
from gantry.cli.globs import glob_pattern

FILTER_CHARACTERS = frozenset("!\"'()/<=>\\~") | frozenset(" \t\n\r\x0b\x0c")
"""A single argument that has one of these is a filter, and no name."""

GLOB_CHARACTERS = frozenset("*?")


def condition_of(
    arguments: Sequence[str], *, force: bool = False, key: str = "name", numeric: bool = False
) -> object:
    """Return the filter that the arguments mean; ``None`` means everything.

    Raises:
        CommandError: a filter is malformed or more than one was given, or an id is no number.
    """
    if not arguments:
        return None
    if force or (len(arguments) == 1 and FILTER_CHARACTERS & set(arguments[0])):
        if len(arguments) != 1:
            raise CommandError("Exactly one argument must be given as a filter; quote it")
        from gantry.cli.filter_language import FilterError, parse_filter

        try:
            return parse_filter(arguments[0])
        except FilterError as error:
            raise CommandError(f"Error while parsing query filter: {error}") from None
    if any(GLOB_CHARACTERS & set(argument) for argument in arguments):
        return ["|", *(["=~", key, glob_pattern(each)] for each in arguments)]
    return simple_condition(key, [_number(each) if numeric else each for each in arguments])


def simple_condition(key: str, values: Sequence[object]) -> list[object]:
    """Return the filter "the key is one of these"."""
    return ["|", *(["=", key, each] for each in values)]


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CommandError(f"'{text}' is not a job id; ids are whole numbers") from None
