"""Options as typed keys, and the parser of a command line.

An :class:`Option` says how it is written and which type its value has; ``options[FORCE]`` is
then a ``bool`` for the type checker, too. The parser follows Ganeti's conventions: options end
at the first argument, long ones may be shortened to a unique prefix, short ones bundled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Literal, TypeVar, cast

from gantry.cli.errors import UsageError
from gantry.cli.option_values import KEY_VALUES, Parameters, V, ValueType

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

Action = Literal["store", "append", "store_true", "store_false", "store_const", "count", "callback"]


class Option(Generic[T_co]):
    """One option of a command, whose parsed value has the type ``T_co``."""

    __slots__ = ("action", "const", "default", "dest", "flags", "help", "metavar", "type")

    def __init__(  # noqa: PLR0913 - a row of a table; its columns are named where it is made
        self,
        flags: str,
        dest: str,
        *,
        action: Action,
        default: T_co,
        help: str,  # noqa: A002 - the field's standard term
        type: ValueType[object] | None = None,  # noqa: A002 - the field's standard term
        metavar: str = "",
        const: object = None,
    ) -> None:
        self.flags = tuple(flags.split())
        self.dest = dest
        self.action = action
        self.default = default
        self.help = help
        self.type = type
        self.metavar = metavar
        self.const = const

    @property
    def takes_value(self) -> bool:
        """Whether the option is followed by a value."""
        return self.type is not None

    @property
    def example(self) -> str:
        """What stands for the value in help texts."""
        if self.type is None:
            return ""
        if self.metavar:
            return self.metavar
        return "|".join(self.type.choices) or self.dest.upper()


def flag(flags: str, dest: str, text: str) -> Option[bool]:
    """Return an option that is false unless it is given."""
    return Option(flags, dest, action="store_true", default=False, help=text)


def negative_flag(flags: str, dest: str, text: str) -> Option[bool]:
    """Return an option that is true unless it is given."""
    return Option(flags, dest, action="store_false", default=True, help=text)


def one_of(flags: str, dest: str, const: str, text: str) -> Option[str | None]:
    """Return an option that puts ``const`` under a name which it shares with others."""
    return Option(flags, dest, action="store_const", default=None, const=const, help=text)


def value(
    flags: str, dest: str, kind: ValueType[V], text: str, metavar: str = ""
) -> Option[V | None]:
    """Return an option with a value that is ``None`` unless it is given."""
    return Option(flags, dest, action="store", default=None, type=kind, help=text, metavar=metavar)


def value_or(
    flags: str, dest: str, kind: ValueType[V], default: V, text: str, metavar: str = ""
) -> Option[V]:
    """Return an option with a value and a default."""
    return Option(
        flags, dest, action="store", default=default, type=kind, help=text, metavar=metavar
    )


def values(
    flags: str, dest: str, kind: ValueType[V], text: str, metavar: str = ""
) -> Option[list[V]]:
    """Return an option that may be repeated."""
    return Option(flags, dest, action="append", default=[], type=kind, help=text, metavar=metavar)


def parameters(
    flags: str, dest: str, text: str, kind: ValueType[Parameters] = KEY_VALUES
) -> Option[Parameters]:
    """Return an option with ``key=value,...`` that is empty unless it is given."""
    return value_or(flags, dest, kind, {}, text)


class Options:
    """What a command line set, by option; what it did not set has the option's default."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def __getitem__(self, option: Option[T]) -> T:
        """Return the value of an option; of one that the command lacks, its default."""
        return cast("T", self._values.get(option.dest, option.default))

    def by_dest(self) -> dict[str, object]:
        """Return all values under Ganeti's names."""
        return dict(self._values)


def parse(table: Sequence[Option[object]], words: Sequence[str]) -> tuple[Options, list[str]]:
    """Split a command line into options and arguments.

    Raises:
        UsageError: an option is unknown, ambiguous, lacks its value or has a malformed one.
    """
    parsed: dict[str, object] = {}
    for option in table:
        default = option.default
        parsed.setdefault(option.dest, list(default) if isinstance(default, list) else default)
    by_flag = {name: option for option in table for name in option.flags}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        for spelled, option, text in _occurrences(by_flag, word, rest):
            _apply(parsed, option, spelled, text)
    return Options(parsed), rest


def _occurrences(
    by_flag: dict[str, Option[object]], word: str, rest: list[str]
) -> Iterator[tuple[str, Option[object], str]]:
    """Yield the options in one word, each with its value; take values out of ``rest``."""
    if word.startswith("--"):
        name, equals, text = word.partition("=")
        spelled = _complete(by_flag, name)
        option = by_flag[spelled]
        if equals and not option.takes_value:
            raise UsageError(f"{spelled} option does not take a value")
        yield spelled, option, text if equals else _next_value(spelled, option, rest)
        return
    letters = word[1:]
    while letters:
        spelled, letters = f"-{letters[0]}", letters[1:]
        if spelled not in by_flag:
            raise UsageError(f"no such option: {spelled}")
        option = by_flag[spelled]
        if option.takes_value and letters:
            yield spelled, option, letters
            return
        yield spelled, option, _next_value(spelled, option, rest)


def _complete(by_flag: dict[str, Option[object]], name: str) -> str:
    if name in by_flag:
        return name
    matching = sorted(known for known in by_flag if known.startswith(name))
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(f"ambiguous option: {name} ({', '.join(matching)}?)")
    raise UsageError(f"no such option: {name}")


def _next_value(spelled: str, option: Option[object], rest: list[str]) -> str:
    if not option.takes_value:
        return ""
    if not rest:
        raise UsageError(f"{spelled} option requires 1 argument")
    return rest.pop(0)


def _apply(parsed: dict[str, object], option: Option[object], spelled: str, text: str) -> None:
    result: object = None
    if option.type is not None:
        try:
            result = option.type.parse(text)
        except ValueError as error:
            raise UsageError(f"option {spelled}: {error}") from None
    match option.action:
        case "store" | "callback":
            parsed[option.dest] = result
        case "append":
            cast("list[object]", parsed[option.dest]).append(result)
        case "store_true":
            parsed[option.dest] = True
        case "store_false":
            parsed[option.dest] = False
        case "store_const":
            parsed[option.dest] = option.const
        case "count":
            parsed[option.dest] = cast("int", parsed[option.dest]) + 1
