"""Globs of host names as regular expressions, for the query language."""

from __future__ import annotations

REGEX_SPECIAL = frozenset("\\.^$*+?{}[]|()-&#~ \t\n\r\x0b\x0c")
"""What :func:`re.escape` escapes."""


def glob_pattern(glob: str) -> str:
    """Return the regular expression of a host name glob.

    ``*`` and ``?`` stop at dots, and any domain may follow.
    """
    pieces = []
    for character in glob:
        match character:
            case "*":
                pieces.append("[^.]*")
            case "?":
                pieces.append("[^.]")
            case _:
                pieces.append(f"\\{character}" if character in REGEX_SPECIAL else character)
    return f"^{''.join(pieces)}(\\..*)?$"
