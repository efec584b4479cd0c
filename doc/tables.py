"""The tables of ``doc/design``, each made from the types that it describes."""

from __future__ import annotations

import inspect
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Final, cast, get_args

import attrs

from gantry import protocols
from gantry.cli import exit_codes
from gantry.cli.command import Program
from gantry.core.queue.transitions import ALLOWED
from gantry.daemons.mond import replication
from gantry.operations.registry import is_available
from gantry.protocols import changes, jobproc, mond, rapi_routes, rconfd, steps
from gantry.protocols.errors import GANETI_ERRORS, ServiceError
from gantry.protocols.job_archive import JOB_ARCHIVE
from gantry.protocols.jobproc import JOB_PROCESS
from gantry.protocols.join import JOIN
from gantry.protocols.luxi import LUXI
from gantry.protocols.noded import NODED
from gantry.protocols.opcodes.registry import OPCODES, opcode_class
from gantry.protocols.queue_records import QueueRecord
from gantry.protocols.replication import LEADING, REPLICAS
from gantry.protocols.routes import markdown_table
from gantry.protocols.wconfd import WCONFD
from gantry.runtime.http import limits

REPOSITORY: Final = Path(__file__).parents[1]
_PROTOCOLS: Final = "gantry.protocols."


def first_sentence(thing: object) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def members(union: UnionType) -> str:
    """Describe the classes of a union: what each means and carries."""
    return _classes(get_args(union))


def errors() -> str:
    """List every error that a typed service may report."""
    for module in pkgutil.iter_modules(protocols.__path__):
        import_module(f"gantry.protocols.{module.name}")
    found = [cls for cls in ServiceError.__subclasses__() if cls.__module__.startswith(_PROTOCOLS)]
    return _classes(sorted(found, key=lambda cls: cls.__name__))


def _classes(classes: Iterable[type]) -> str:
    rows = []
    for cls in classes:
        annotations = {n: t for base in cls.__mro__ for n, t in vars_of(base).items()}
        fields = [f.name for f in attrs.fields(cls)]
        shown = ", ".join(f"{name}: {annotations[name]}" for name in fields)
        rows.append((f"`{cls.__name__}`", shown, first_sentence(cls)))
    return markdown_table(("class", "fields", "meaning"), rows)


def vars_of(cls: type) -> Mapping[str, object]:
    """Return the annotations of a class as they are written."""
    return cast("Mapping[str, object]", vars(cls).get("__annotations__", {}))


def ganeti_errors() -> str:
    """List the errors that Ganeti's clients know."""
    rows = [(f"`{name}`", first_sentence(cls)) for name, cls in GANETI_ERRORS.items()]
    return markdown_table(("error", "meaning"), rows)


def opcodes() -> str:
    """List all opcodes and whether they can be carried out."""
    rows = [
        (f"`{op_id}`", "yes" if is_available(op_id) else "", first_sentence(opcode_class(op_id)))
        for op_id in sorted(OPCODES)
    ]
    return markdown_table(("opcode", "available", "meaning"), rows)


def programs() -> list[Program]:
    """Return the command-line programs that have commands."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    scripts = cast("dict[str, str]", settings["project"]["scripts"])
    modules = [import_module(scripts[name].partition(":")[0]) for name in sorted(scripts)]
    found = [getattr(module, "PROGRAM", None) for module in modules]
    return [each for each in found if isinstance(each, Program)]


def commands() -> str:
    """List every command of every program and whether it is available."""
    rows = [
        (f"`{program.name} {known.name}`", "yes" if known.module else "", known.summary)
        for program in programs()
        for known in program.commands
    ]
    return markdown_table(("command", "available", "meaning"), rows)


def exit_statuses() -> str:
    """List the exit codes of the command line: constants and the strings that explain them."""
    text = inspect.getsource(exit_codes)
    found = re.findall(r'^([A-Z_]+) = (\d+)\n"""(.*?)"""', text, re.MULTILINE | re.DOTALL)
    rows = [(status, f"`{name}`", " ".join(doc.split())) for name, status, doc in found]
    return markdown_table(("status", "name", "meaning"), rows)


def job_statuses() -> str:
    """Draw the table by which opcodes move."""
    arrows = [f"    {old} --> {new}" for old in ALLOWED for new in sorted(ALLOWED[old])]
    ends = [f"    {status} --> [*]" for status, further in ALLOWED.items() if not further]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> queued", *arrows, *ends, "```"])


def http_limits() -> str:
    """List the bounds of the HTTP server and client with their reasons."""
    text = inspect.getsource(limits)
    found = re.findall(r'^([A-Z_]+): Final = (.*?)\n"""(.*?)"""', text, re.MULTILINE | re.DOTALL)
    rows = [(f"`{name}`", value, " ".join(why.split())) for name, value, why in found]
    return markdown_table(("bound", "value", "reason"), rows)


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "changes": lambda: members(changes.Change),
    "commands": commands,
    "confd": rconfd.markdown,
    "errors": errors,
    "events": lambda: members(jobproc.Event),
    "exit codes": exit_statuses,
    "fork server": lambda: members(jobproc.ForkServerMessage),
    "ganeti errors": ganeti_errors,
    "http limits": http_limits,
    "job archive": JOB_ARCHIVE.markdown,
    "job process": JOB_PROCESS.markdown,
    "job statuses": job_statuses,
    "join": JOIN.markdown,
    "luxi": LUXI.markdown,
    "leading": LEADING.markdown,
    "mond": mond.markdown,
    "noded": NODED.markdown,
    "replicas": REPLICAS.markdown,
    "replication metrics": replication.markdown,
    "opcodes": opcodes,
    "queue records": lambda: members(QueueRecord),
    "rapi": rapi_routes.markdown,
    "step actions": lambda: members(steps.Action),
    "step records": lambda: members(steps.StepRecord),
    "wconfd": WCONFD.markdown,
}
"""By the name with which a page asks for them."""
