"""The pages of doc/design say what the code says, and point at what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc.generate import PAGES, UnknownTable, tables_in, with_tables
from doc.tables import TABLES
from tests.unit.house.source_tree import REPOSITORY

DESIGN = sorted(PAGES.glob("*.md"))
DOCUMENTS = [*DESIGN, *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md"))]
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", DESIGN, ids=lambda page: page.stem)
def test_the_tables_are_fresh(page: Path) -> None:
    text = page.read_text()
    assert with_tables(text) == text, "stale: run make docs"


def test_every_table_is_on_a_page() -> None:
    shown = [name for page in DESIGN for name in tables_in(page.read_text())]
    assert sorted(shown) == sorted(TABLES)


def test_a_stale_table_is_made_anew() -> None:
    page = "a\n<!-- generated: x -->\n\nold\n\n<!-- end -->\nb\n"
    fresh = with_tables(page, {"x": lambda: "new"})
    assert fresh == "a\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\nb\n"


def test_a_table_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(UnknownTable):
        with_tables("<!-- generated: y -->\n<!-- end -->", {})


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_named_files_and_targets_exist(page: Path) -> None:
    text = page.read_text()
    paths = re.findall(
        r"`((?:lib|protocols|daemons|tests|doc|systemd|os|bench|\.ci)/[^`<{* ]*)`", text
    )
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= MAKE_TARGETS
