"""A module that reads bytes from outside is driven through a door, or it is said why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import pytest
from tests.hostile.doors import DOORS, NOT_DOORS
from tests.unit.house.source_tree import SourceFile, product_modules

PARSERS: Final = frozenset(
    {"from_bytes", "loads", "decode_log", "decode_lines", "load_job", "FrameDecoder", "h11"}
)
"""What bytes are handed to, to become values."""

RECEIVERS: Final = frozenset({"receive_some", "recv", "recv_fds", "read_bytes", "read_text"})
"""By what bytes come in."""

FILES: Final = frozenset({"files", "_files"})
"""The port of the file system, whose ``read`` gives bytes."""


def test_every_module_that_reads_bytes_is_listed() -> None:
    driven = {module for door in DOORS.values() for module in door.drives}
    missing = [
        f"{module}: {', '.join(sorted(set(found)))}"
        for module, found in readers()
        if found and module not in driven and module not in NOT_DOORS
    ]
    assert missing == [], "give each a door in tests/hostile, or say in NOT_DOORS why it needs none"


def test_the_table_names_modules_that_exist() -> None:
    there = {module for module, _ in readers()}
    named = {module for door in DOORS.values() for module in door.drives} | NOT_DOORS.keys()
    assert sorted(named - there) == []


@pytest.mark.parametrize(
    "text",
    ["from_bytes(x)", "codec.from_bytes(x)", "await self.env.files.read(p)", "s.receive_some(5)"],
)
def test_a_reader_is_recognised(text: str) -> None:
    assert list(reads(SourceFile("a.py", f"async def f():\n    {text}\n")))


def readers() -> Iterator[tuple[str, list[str]]]:
    """Yield the product's modules, without ``gantry.``, and how each reads bytes."""
    for file in product_modules():
        module = file.path.partition("/gantry/")[2].removesuffix(".py").replace("/", ".")
        if not module.startswith("runtime.testing"):
            yield module, list(reads(file))


def reads(file: SourceFile) -> Iterator[str]:
    for node in ast.walk(file.tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in PARSERS:
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="int"))):
                continue  # int.from_bytes
            case ast.Call(func=ast.Attribute(attr=name)) if name in PARSERS | RECEIVERS:
                yield name
            case ast.Call(func=ast.Attribute(attr="read" | "read_part", value=port)):
                owner = port.attr if isinstance(port, ast.Attribute) else getattr(port, "id", "")
                if owner in FILES:
                    yield "files.read"
            case _:
                pass
