"""Finding and judging OS definitions, and running their scripts."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from attrs import evolve

from gantry.drivers.scripts.os_definitions import OsDefinitions, OsFolder, examine
from gantry.drivers.scripts.os_scripts import OsScripts, log_name
from gantry.drivers.scripts.os_variables import core_variables, instance_variables
from gantry.protocols.identity import NetworkUuid
from gantry.protocols.runtime_types import (
    InstanceSpec,
    NicNetwork,
    OsUnusable,
    ScriptFailed,
)
from gantry.runtime.environment import Environment

GOLDEN = Path(__file__).parent / "golden" / "os-environment.json"

WHOLE = OsFolder(
    name="tiny",
    path="/os/tiny",
    programs=frozenset({"create", "import", "export", "rename", "verify"}),
    api_version="20\n",
    variants="blue\n# a comment\n\nred\n",
    parameters="tick  How often.\nplain\n",
)


def test_a_whole_definition() -> None:
    row = examine(WHOLE)
    assert row.ok
    assert row.variants == ("blue", "red")
    assert row.parameters == (("tick", "How often."), ("plain", ""))
    assert row.api_versions == (20,)
    assert row.trusted


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        (evolve(WHOLE, api_version=None), "ganeti_api_version is missing"),
        (evolve(WHOLE, api_version="x\n"), "one integer on each line"),
        (evolve(WHOLE, api_version="5\n30\n"), r"API versions \(5, 30\) are none of 10, 15, 20"),
        (evolve(WHOLE, programs=WHOLE.programs - {"rename"}), "not executable: rename"),
        (evolve(WHOLE, programs=WHOLE.programs - {"create"}), "create or create_untrusted"),
        (evolve(WHOLE, programs=WHOLE.programs - {"verify"}), "verify"),
        (evolve(WHOLE, parameters=None), "parameters.list"),
    ],
)
def test_broken_definitions(folder: OsFolder, problem: str) -> None:
    row = examine(folder)
    assert not row.ok
    assert re.search(problem, row.problem)


def test_api_15_needs_neither_verify_nor_parameters() -> None:
    old = evolve(
        WHOLE, api_version="10\n15\n", parameters=None, programs=WHOLE.programs - {"verify"}
    )
    assert examine(old).ok
    untrusted = evolve(old, programs=old.programs - {"create"} | {"create_untrusted"})
    assert examine(untrusted).ok
    assert not examine(untrusted).trusted


def test_the_environment_of_scripts(spec: InstanceSpec) -> None:
    network = NicNetwork(
        NetworkUuid("e0"), "lan", ("a", "b"), subnet="192.0.2.0/24", gateway="192.0.2.1"
    )
    (nic,) = spec.nics
    spec = evolve(spec, nics=(evolve(nic, network=network), evolve(nic, mode="routed", ip=None)))
    variables = {
        **core_variables(examine(WHOLE), spec.os, spec.osparams),
        **instance_variables(spec, [Path("/root/disk0")]),
    }
    text = json.dumps(variables, indent=1, sort_keys=True) + "\n"
    if os.environ.get("GANTRY_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_first_variant_is_the_default() -> None:
    assert core_variables(examine(WHOLE), "tiny", {})["OS_VARIANT"] == "blue"
    old = evolve(WHOLE, api_version="10\n")
    assert core_variables(examine(old), "tiny", {})["OS_VARIANT"] == ""


def test_log_names() -> None:
    name = log_name("create", "tiny+blue", "web1", 0.0)
    assert name == "create-tiny+blue-web1-1970-01-01_00_00_00.log"


def write_definition(folder: Path, create: str = "exit 0") -> Path:
    path = folder / "tiny"
    path.mkdir(parents=True)
    (path / "ganeti_api_version").write_text("20\n")
    (path / "variants.list").write_text("blue\nred\n")
    (path / "parameters.list").write_text("tick How often\ndash-ed x\n")
    verify = '[ "$1" = parameters ] && [ "$OSP_TICK" != bad ] || { echo no; exit 3; }'
    scripts = {"create": create, "import": "", "export": "", "rename": "env", "verify": verify}
    for name, body in scripts.items():
        (path / name).write_text(f"#!/bin/sh\n{body}\n")
        (path / name).chmod(0o755)
    return path


@pytest.fixture
def definitions(environment: Environment) -> OsDefinitions:
    return OsDefinitions(environment, shipped=())


@pytest.fixture
def scripts(environment: Environment, definitions: OsDefinitions) -> OsScripts:
    return OsScripts(environment, definitions)


async def test_the_first_folder_wins(
    environment: Environment, definitions: OsDefinitions, tmp_path: Path
) -> None:
    assert await definitions.diagnose() == ()
    first = write_definition(environment.paths.below("/srv/ganeti/os"))
    write_definition(environment.paths.below("/usr/share/ganeti/os"))
    write_definition(tmp_path / "shipped")
    (tmp_path / "shipped" / "broken").mkdir()
    definitions = evolve(definitions, shipped=(tmp_path / "shipped",))
    broken, tiny = await definitions.diagnose()
    assert (tiny.ok, tiny.path) == (True, str(first))
    assert not broken.ok
    with pytest.raises(OsUnusable, match="ganeti_api_version is missing"):
        await definitions.find("broken")
    with pytest.raises(OsUnusable, match="no variant green"):
        await definitions.find("tiny+green")
    with pytest.raises(OsUnusable, match="no such definition"):
        await definitions.find("tin")


async def test_create_runs_in_its_folder_with_only_its_variables(
    environment: Environment, scripts: OsScripts, spec: InstanceSpec
) -> None:
    folder = write_definition(
        environment.paths.below("/srv/ganeti/os"), "pwd; env; echo oops >&2; cat"
    )
    log = await scripts.create(spec, [Path("/disk")], reinstall=True, secrets={"pin": "s3cret"})
    assert log.parent == environment.paths.logs / "os"
    lines = log.read_text().splitlines()
    assert str(folder) in lines
    assert "oops" in lines
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    expected = {
        **core_variables(await scripts.definitions.find(spec.os), spec.os, spec.osparams),
        **instance_variables(spec, [Path("/disk")]),
        "INSTANCE_REINSTALL": "1",
        "OSP_PIN": "s3cret",
    }
    assert expected.items() <= variables.items()
    assert variables.keys() - expected.keys() <= {"PWD", "SHLVL", "_", "OLDPWD"}


async def test_a_failing_create_shows_its_last_lines(
    environment: Environment, scripts: OsScripts, spec: InstanceSpec
) -> None:
    write_definition(environment.paths.below("/srv/ganeti/os"), "seq 30; exit 7")
    with pytest.raises(ScriptFailed) as caught:
        await scripts.create(spec, [Path("/disk")])
    assert caught.value.status == 7
    assert caught.value.last_lines == tuple(map(str, range(11, 31)))
    log = await environment.files.read(Path(caught.value.log))
    assert log.startswith(b"1\n2\n")


async def test_rename_and_a_script_that_can_not_run(
    environment: Environment, scripts: OsScripts, spec: InstanceSpec
) -> None:
    folder = write_definition(environment.paths.below("/srv/ganeti/os"))
    log = await scripts.rename(spec, [Path("/disk")], "old.example.com")
    assert "OLD_INSTANCE_NAME=old.example.com" in log.read_text().splitlines()
    (folder / "create").write_text("#!/no/such/interpreter\n")
    with pytest.raises(ScriptFailed, match="can not be run"):
        await scripts.create(spec, [Path("/disk")])


async def test_verify(environment: Environment, scripts: OsScripts) -> None:
    write_definition(environment.paths.below("/srv/ganeti/os"))
    await scripts.verify("tiny", {"tick": "1"})
    with pytest.raises(ScriptFailed, match="status 3"):
        await scripts.verify("tiny", {"tick": "bad"})
    with pytest.raises(OsUnusable, match="no parameters colour"):
        await scripts.verify("tiny", {"colour": "blue"})


async def test_an_untrusted_create_is_refused(
    environment: Environment, scripts: OsScripts, spec: InstanceSpec
) -> None:
    folder = write_definition(environment.paths.below("/srv/ganeti/os"))
    (folder / "create").rename(folder / "create_untrusted")
    with pytest.raises(OsUnusable, match="create_untrusted"):
        await scripts.create(spec, [Path("/disk")])
