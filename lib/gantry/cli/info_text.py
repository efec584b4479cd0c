"""The indented text of ``info`` commands.

A description is built from plain values: a ``dict`` is printed sorted by key, a list of
:class:`Entry` in its own order, any other list with dashes. A description is also what JSON and
YAML output is made from.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeGuard

from gantry.cli.invocation import Invocation
from gantry.cli.standard_options import FORMAT


class Entry(NamedTuple):
    """A key and its description, in a place of their own choice."""

    key: str
    content: object


def print_info(call: Invocation, content: object, *, raw: object | None = None) -> None:
    """Print a description in the form that the options ask for; ``raw`` is for programs."""
    form = call.options[FORMAT]
    if form == "table":
        sys.stdout.write(render(content))
        return
    from gantry.cli import machine_output

    sys.stdout.write(machine_output.render(plain(content) if raw is None else raw, form))


def render(content: object) -> str:
    """Return a description as text."""
    lines: list[str] = []
    _append(lines, content, 0, "")
    return "".join(f"{line}\n" for line in lines)


def plain(content: object) -> object:
    """Return a description as JSON values."""
    if isinstance(content, Mapping):
        return {str(key): plain(each) for key, each in content.items()}
    if _is_ordered(content):
        return {entry.key: plain(entry.content) for entry in content}
    if isinstance(content, list):
        return [plain(each) for each in content]
    return content


def _is_ordered(content: object) -> TypeGuard[Sequence[Entry]]:
    return isinstance(content, list) and bool(content) and isinstance(content[0], Entry)


def _append(lines: list[str], content: object, level: int, prefix: str) -> None:
    """Append the lines of ``content``; the first one continues ``prefix``."""
    indent = "  " * level
    entries: Sequence[tuple[str, object]]
    if isinstance(content, Mapping):
        entries = [(f"{key}: ", content[key]) for key in sorted(content, key=str)]
    elif _is_ordered(content):
        entries = [(f"{entry.key}: ", entry.content) for entry in content]
    elif isinstance(content, list):
        entries = [("- ", each) for each in content]
    else:
        lines.append(f"{prefix}{content}")
        return
    if not entries:
        lines.append(prefix)
        return
    if prefix and not prefix.endswith("- "):
        lines.append(prefix)
        prefix = ""
    for head, each in entries:
        _append(lines, each, level + 1, f"{prefix or indent}{head}")
        prefix = ""
