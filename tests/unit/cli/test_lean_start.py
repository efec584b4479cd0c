"""Commands start fast: they import little, and nothing that is heavy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.unit.cli.fake_luxid import FakeLuxid

HEAVY = (
    *("trio", "attr", "attrs", "cattrs", "orjson", "immutables", "h11", "yaml", "cryptography"),
    *("typing_extensions", "dataclasses", "inspect", "argparse", "optparse", "logging", "pathlib"),
    *("subprocess", "asyncio", "ssl", "importlib.metadata", "datetime", "decimal", "tempfile"),
    *("gantry.protocols", "gantry.core", "gantry.runtime", "gantry.security", "gantry.operations"),
    *("gantry.drivers", "gantry.daemons"),
)

SCRIPT = """
import sys
from {module} import PROGRAM
from gantry.cli.program import run
sys.argv[1:] = {words!r}
code = run(PROGRAM)
print("\\n".join(sys.modules), file=sys.stderr)
sys.exit(code)
"""


def imported(module: str, *words: str) -> set[str]:
    """Run a command in a fresh interpreter and return what it had imported in the end."""
    script = SCRIPT.format(module=module, words=list(words))
    # -S: what this installation's own start-up files import is not the command's doing.
    paths = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("gantry.cli.gnt_instance.program", ("list",)),
        ("gantry.cli.gnt_instance.program", ("startup", "--submit", "web1")),
        ("gantry.cli.gnt_instance.program", ("add", "--submit", "-t", "diskless", "web1")),
        ("gantry.cli.gnt_node.program", ("list",)),
        ("gantry.cli.gnt_job.program", ("list",)),
        ("gantry.cli.gnt_cluster.program", ("master-ping",)),
        ("gantry.cli.gnt_cluster.program", ("init", "--help")),
        ("gantry.cli.gnt_os", ("--help",)),
        ("gantry.cli.gnt_filter", ("list",)),
        ("gantry.cli.gnt_debug", ("delay", "--submit", "1")),
        ("gantry.cli.gantry_command", ("--help",)),
    ],
)
def test_nothing_heavy_is_imported(luxid: FakeLuxid, module: str, words: tuple[str, ...]) -> None:
    name = {"name": "name", "title": "Instance", "kind": "text", "doc": ""}
    luxid.answers |= {
        "Query": lambda _: {"fields": [name], "data": [[[0, "web1"]]]},
        "QueryClusterInfo": lambda _: {"name": "c"},
        "SubmitJob": lambda _: 1,
        "SubmitManyJobs": lambda _: [[True, 1]],
    }
    modules = imported(module, *words)
    heavy = {
        each
        for each in modules
        if any(each == name or each.startswith(f"{name}.") for name in HEAVY)
    }
    assert heavy == set()


@pytest.mark.parametrize("tool", ["instance", "node", "job", "cluster", "os", "debug", "filter"])
def test_a_program_imports_no_other(tool: str) -> None:
    module = f"gantry.cli.gnt_{tool}" + ("" if tool in ("os", "debug", "filter") else ".program")
    modules = imported(module, "--help")
    others = {each for each in modules if each.startswith("gantry.cli.gnt_")}
    assert all(each.startswith(f"gantry.cli.gnt_{tool}") for each in others)
