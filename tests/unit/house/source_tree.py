"""The repository's files, as the house rules see them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from attrs import define

REPOSITORY: Final = Path(__file__).parents[3]
SOURCE_ROOTS: Final = ("lib", "protocols", "daemons")
TEXT_FOLDERS: Final = (*SOURCE_ROOTS, ".ci", "bench", "doc", "os", "systemd", "tests")
TEXT_FILES: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "README.md", "pyproject.toml")


@define(slots=False)
class SourceFile:
    """A file of the repository."""

    path: str
    """Relative to the repository."""
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2].removesuffix(".py")


def read(path: Path) -> SourceFile:
    return SourceFile(str(path.relative_to(REPOSITORY)), path.read_text(errors="replace"))


def product_modules() -> Iterator[SourceFile]:
    """Every Python module that is installed."""
    for root in SOURCE_ROOTS:
        yield from map(read, sorted((REPOSITORY / root).rglob("*.py")))


def modules_of_tests() -> Iterator[SourceFile]:
    yield from map(read, sorted((REPOSITORY / "tests").rglob("*.py")))


def all_texts() -> Iterator[SourceFile]:
    """Every file that somebody wrote: programs, documents, settings."""
    for folder in TEXT_FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.is_file() and not re.search(r"/__pycache__/|/results/", str(path)):
                yield read(path)
    for name in TEXT_FILES:
        if (REPOSITORY / name).exists():
            yield read(REPOSITORY / name)
