"""The house is tidy: no file breaks a rule, and each rule catches what it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.unit.house import tidy_rules as rules
from tests.unit.house.source_tree import (
    REPOSITORY,
    SourceFile,
    all_texts,
    modules_of_tests,
    product_modules,
)

Rule = Callable[[SourceFile], rules.Findings]

PRODUCT_RULES: tuple[Rule, ...] = (
    rules.init_in_namespace,
    rules.code_in_init,
    rules.long_module,
    rules.mutable_state,
    rules.map_of_an_iterator,
)
CODE_RULES: tuple[Rule, ...] = (
    rules.long_function,
    rules.name_that_says_nothing,
    rules.bare_ignore,
    rules.left_for_later,
)
TOP_LEVEL = frozenset(
    {
        ".ci",
        ".git",
        ".gitignore",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "bench",
        "daemons",
        "doc",
        "lib",
        "os",
        "protocols",
        "pyproject.toml",
        "systemd",
        "tests",
    }
)


def broken(rule: Rule, files: Iterable[SourceFile]) -> list[str]:
    return [f"{file.path}:{finding}" for file in files for finding in rule(file)]


@pytest.mark.parametrize("rule", [*PRODUCT_RULES, *CODE_RULES], ids=lambda rule: rule.__name__)
def test_the_product_keeps_the_rule(rule: Rule) -> None:
    assert broken(rule, product_modules()) == []


@pytest.mark.parametrize("rule", [*CODE_RULES, rules.sleep_in_test], ids=lambda r: r.__name__)
def test_the_tests_keep_the_rule(rule: Rule) -> None:
    ours = "tests/unit/house/"  # holds what it looks for
    others = (file for file in modules_of_tests() if not file.path.startswith(ours))
    assert broken(rule, others) == []


def test_no_file_names_somebodys_machine() -> None:
    assert broken(rules.somebodys_machine, all_texts()) == []


def test_every_test_file_has_a_name_of_its_own() -> None:
    names = Counter(file.name for file in modules_of_tests() if file.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []


def test_test_folders_are_no_packages() -> None:
    assert list((REPOSITORY / "tests").rglob("__init__.py")) == []


def test_the_top_level_holds_what_it_should() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    there = [
        path.name
        for path in REPOSITORY.iterdir()
        if not any(Path(path.name).match(pattern.rstrip("/")) for pattern in ignored)
    ]
    assert sorted(set(there) - TOP_LEVEL) == []


PLANTED: tuple[tuple[Rule, str, str], ...] = (
    (rules.init_in_namespace, "lib/gantry/__init__.py", ""),
    (rules.code_in_init, "lib/gantry/core/__init__.py", "from gantry.core import keys\n"),
    (rules.long_module, "lib/gantry/core/keys.py", "x = 1\n" * 601),
    (rules.long_function, "a.py", "def f() -> None:\n" + "    g()\n" * 60),
    (rules.long_function, "a.py", "async def f() -> None:\n" + "    g()\n" * 60),
    (rules.name_that_says_nothing, "lib/gantry/core/disk_utils.py", ""),
    (rules.name_that_says_nothing, "lib/gantry/misc/disk.py", ""),
    (rules.bare_ignore, "a.py", "x = f()  # type: ignore\n"),
    (rules.bare_ignore, "a.py", "x = f()  # type: ignore[arg-type]\n"),
    (rules.bare_ignore, "a.py", "x = f()  # noqa\n"),
    (rules.bare_ignore, "a.py", "x = f()  # noqa: BLE001\n"),
    (rules.left_for_later, "a.py", "x = 1  # TODO: two\n"),
    (rules.mutable_state, "a.py", "CACHE = {}\ndef f() -> None:\n    CACHE['a'] = 1\n"),
    (rules.mutable_state, "a.py", "SEEN: Final = set()\ndef f() -> None:\n    SEEN.add(1)\n"),
    (rules.mutable_state, "a.py", "LINES = []\ndef f() -> None:\n    del LINES[0]\n"),
    (rules.mutable_state, "a.py", "def f() -> None:\n    global x\n    x = 1\n"),
    (rules.map_of_an_iterator, "a.py", "Map((a, b) for a, b in c)\n"),
    (rules.map_of_an_iterator, "a.py", "Map[str, int](zip(a, b))\n"),
    (rules.sleep_in_test, "a.py", "time.sleep(1)\n"),
    (rules.somebodys_machine, "a.py", "see /" + "work/main\n"),
)


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_breach_is_found(rule: Rule, path: str, text: str) -> None:
    assert len(list(rule(SourceFile(path, text)))) == 1


SOUND: tuple[tuple[Rule, str, str], ...] = (
    (rules.init_in_namespace, "lib/gantry/core/__init__.py", ""),
    (rules.code_in_init, "lib/gantry/core/__init__.py", '"""The core."""\n'),
    (rules.long_function, "a.py", "def f() -> None:\n" + "    g()\n" * 59),
    (rules.bare_ignore, "a.py", "x = f()  # type: ignore[arg-type] # mypy knows no unions here\n"),
    (rules.bare_ignore, "a.py", "x = f()  # noqa: BLE001 - it becomes an answer\n"),
    (rules.map_of_an_iterator, "a.py", "Map({a: b for a, b in c})\nMap(dict(zip(a, b)))\nMap()\n"),
    (
        rules.mutable_state,
        "a.py",
        "TABLE = {'a': 1}\ndef f() -> int:\n    return TABLE['a']\n",
    ),
)


@pytest.mark.parametrize(("rule", "path", "text"), SOUND)
def test_sound_code_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert list(rule(SourceFile(path, text))) == []
