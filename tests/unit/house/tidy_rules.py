"""The house rules that no linter has: each takes a file apart and yields what is wrong with it.

What ruff and mypy can say, they say (see pyproject.toml): docstrings, ``print``, ``Any``,
complexity. A rule here returns findings of the form ``line: what to do``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Final

from tests.unit.house.source_tree import SourceFile

MODULE_LINES_MAX: Final = 600
FUNCTION_LINES_MAX: Final = 60
BANNED_NAMES: Final = frozenset({"common", "helper", "helpers", "manager", "misc", "util", "utils"})

MEMOS: Final[Mapping[str, str]] = {
    "protocols/gantry/protocols/opcodes/parsing.py": "_HOOKS",
    "protocols/gantry/protocols/parameters/parameter_set.py": "_SPECS",
}
"""What is worked out once for each class. (mypy does not let a class be functools.cache's key.)"""

Findings = Iterator[str]

_IGNORE: Final = re.compile(r"#\s*type:\s*ignore(?P<code>\[[a-z, -]+\])?(?P<rest>.*)")
_NOQA: Final = re.compile(r"#\s*noqa(?P<code>: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*)?(?P<rest>.*)")
_REASON: Final = re.compile(r"\s*(#|-)\s*\w.{4}")
_LATER: Final = re.compile(r"\b(TODO|FIXME|XXX)\b")

_MUTABLE_DISPLAYS: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MUTABLE_CALLS: Final = frozenset({"list", "dict", "set", "defaultdict", "Counter", "deque"})
_MUTATORS: Final = re.compile(
    "add|append|clear|discard|extend|insert|pop|popitem|remove|setdefault|update"
)


def init_in_namespace(file: SourceFile) -> Findings:
    """A namespace of three roots has no ``__init__.py``: it would hide the other roots."""
    if re.fullmatch(r"[a-z]+/gantry/__init__\.py", file.path):
        yield "1: remove it: gantry is a namespace over three source roots (PEP 420)"


def code_in_init(file: SourceFile) -> Findings:
    """Packages import nothing, so that a command loads only what it needs."""
    if file.name == "__init__":
        for node in file.tree.body:
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                yield f"{node.lineno}: an __init__.py holds a docstring at most"


def long_module(file: SourceFile) -> Findings:
    """A module is a thought."""
    if len(file.lines) > MODULE_LINES_MAX:
        yield f"1: {len(file.lines)} lines, {MODULE_LINES_MAX} at the most: two thoughts"


def long_function(file: SourceFile) -> Findings:
    """A function fits on a screen."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{node.lineno}: {node.name} has {length} lines, not {FUNCTION_LINES_MAX}"


def name_that_says_nothing(file: SourceFile) -> Findings:
    """A name says what the thing is."""
    for part in file.path.removesuffix(".py").split("/"):
        if BANNED_NAMES & set(part.split("_")):
            yield f"1: {part!r} does not say what it is"


def bare_ignore(file: SourceFile) -> Findings:
    """What is not checked has a code and a reason."""
    for number, line in enumerate(file.lines, 1):
        for pattern in (_IGNORE, _NOQA):
            found = pattern.search(line)
            if found and not (found["code"] and _REASON.match(found["rest"])):
                yield f"{number}: give the code and, in the same line, the reason"


def left_for_later(file: SourceFile) -> Findings:
    """What is not done is in the issue tracker, or refused with an error that says so."""
    for number, line in enumerate(file.lines, 1):
        if _LATER.search(line):
            yield f"{number}: do it, or open an issue"


def map_of_an_iterator(file: SourceFile) -> Findings:
    """A persistent map is made of a dictionary.

    When an iterator raises, immutables 0.21 frees the pair before once too often, and the
    interpreter crashes later, somewhere else.
    """
    for node in ast.walk(file.tree):
        match node:
            case ast.Call(func=ast.Name(id="Map") | ast.Subscript(value=ast.Name(id="Map"))):
                for made_of in node.args:
                    if not _is_dictionary(made_of):
                        yield f"{node.lineno}: make the Map of a dictionary"
            case _:
                pass


def _is_dictionary(made_of: ast.expr) -> bool:
    match made_of:
        case ast.Call(func=ast.Name(id="dict")):
            return True
        case ast.Dict() | ast.DictComp() | ast.Name() | ast.Attribute():
            return True
        case _:
            return False


def mutable_state(file: SourceFile) -> Findings:
    """No module has state: a table holds what it held when it was written."""
    tables = {name for name, value in _assigned(file.tree) if _is_mutable(value)}
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Global):
            yield f"{node.lineno}: 'global' is module state"
        for changed in _changed_names(node):
            if changed in tables and changed != MEMOS.get(file.path):
                yield f"{getattr(node, 'lineno', 0)}: {changed} is module state: pass it around"


def _assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case _:
                pass


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in _MUTABLE_CALLS
    return isinstance(value, _MUTABLE_DISPLAYS)


def _changed_names(node: ast.AST) -> Iterator[str]:
    """Yield the names whose items or content a node changes."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            changed: list[ast.expr] = [t.value for t in targets if isinstance(t, ast.Subscript)]
        case ast.AugAssign(target=ast.Subscript(value=container)):
            changed = [container]
        case ast.Call(func=ast.Attribute(value=container, attr=name)) if _MUTATORS.fullmatch(name):
            changed = [container]
        case _:
            changed = []
    yield from (each.id for each in changed if isinstance(each, ast.Name))


def sleep_in_test(file: SourceFile) -> Findings:
    """Tests wait for events; time is trio's, and jumps. Where there is none, the line says why."""
    for number, line in enumerate(file.lines, 1):
        if re.search(r"\btime\.sleep\((?!.*#\s*\w.{4})", line):
            yield f"{number}: wait for an event instead, or say why there is none"


def somebodys_machine(file: SourceFile) -> Findings:
    """Nothing names the machine, the registry or the session in which it was written."""
    for number, line in enumerate(file.lines, 1):
        for pattern in _ELSEWHERE:
            if found := re.search(pattern, line):
                yield f"{number}: {found[0]!r} means nothing outside of somebody's machine"


_ELSEWHERE: Final = (
    r"/wor[k]/",
    r"\bpyp[i]\.org",
    r"\bfiles\.pythonhoste[d]\.org",
    r"\bdeb\.debia[n]\.org",
    r"\bregistry\.npmj[s]\.org",
)
"""Spelled so that this file does not contain what it looks for."""
