"""Inputs that are kept: text files with sums and repetitions of bytes literals, one on each line.

Comments say why an input is there. Whatever once broke a promise is kept for good, with a sentence
on the bug; what the guided fuzzer has found to reach something new is kept below it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "corpus"

REACHED: Final = "# What reaches something that no other input here does:"
KEPT_BYTES_MAX: Final = 400
"""A longer input says nothing to anybody."""

KEPT_MAX: Final = 60
"""Of such inputs for each door."""


def kept(door: str) -> tuple[bytes, ...]:
    """Return the inputs that are kept for a door."""
    path = FOLDER / f"{door}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return tuple(_read(line) for line in lines if line and not line.startswith("#"))


def _read(line: str) -> bytes:
    return _value(ast.parse(line, mode="eval").body)


def _value(node: ast.expr) -> bytes:
    """Return the value of, for example, ``b"a" + b"9" * 5000``."""
    match node:
        case ast.Constant(value=bytes(value)):
            return value
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left) + _value(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int(times))):
            return _value(left) * times
        case _:
            raise ValueError(f"{ast.unparse(node)} is no bytes literal")


def keep(door: str, inputs: Iterable[bytes]) -> int:
    """Keep short inputs that reach something new, instead of those kept before; count them."""
    path = FOLDER / f"{door}.txt"
    text = path.read_text() if path.exists() else ""
    by_hand = text.partition(REACHED)[0].rstrip("\n")
    short = sorted({each for each in inputs if len(each) <= KEPT_BYTES_MAX}, key=len)[:KEPT_MAX]
    lines = [by_hand] if by_hand else []
    lines += [REACHED, *map(repr, short)] if short else []
    if lines:
        FOLDER.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return len(short)
