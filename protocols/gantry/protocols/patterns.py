"""Regular expressions that a client has written: searched for in time linear in the text.

Python's own go back over a text as often as an expression makes them, for years if need be, and
whoever may ask a query could stop a daemon with one. RE2's never go back; so they have neither
lookarounds nor references to what was found before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import re2  # type: ignore[import-untyped] # has no types

PATTERN_LENGTH_MAX: Final = 4096
"""In characters: generous, since clients join globs into one expression."""

_MEMORY_BYTES_MAX: Final = 1 << 20
"""For the program of one expression; some thousand characters take a tenth."""

FindIn = Callable[[str], bool]
"""Says whether an expression is found somewhere in a text."""


class BadPattern(ValueError):
    """A text is not a regular expression; says why."""


def finder(pattern: str) -> FindIn:
    """Compile an expression.

    Raises:
        BadPattern: it is none, is too long, or would take too much memory.
    """
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise BadPattern(f"a regular expression is at most {PATTERN_LENGTH_MAX} characters long")
    try:
        search = re2.compile(pattern.encode(), _options()).search
    except UnicodeEncodeError:
        raise BadPattern(f"{_shown(pattern)} is not Unicode text") from None
    except re2.error as error:
        reason = cast("bytes", error.args[0]).decode(errors="replace")
        text = f"{_shown(pattern)} is not a regular expression: {reason}"
        if reason.startswith(("invalid perl operator", "invalid escape sequence")):
            text += "; the syntax is RE2's, which knows no lookarounds and no references back"
        raise BadPattern(text) from None
    return lambda text: search(text.encode(errors="replace")) is not None


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES_MAX
    options.never_capture = True
    options.log_errors = False  # to standard error; they are told to the client
    return options


def _shown(pattern: str) -> str:
    text = repr(pattern)
    return text if len(text) <= 60 else text[:57] + "..."
