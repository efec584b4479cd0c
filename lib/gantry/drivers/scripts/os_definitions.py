"""OS definitions: folders of scripts that install an operating system (OS interface, API 20).

The shipped definitions come last in the search: an administrator's own of the same name win.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.drivers.scripts.executables import executables
from gantry.protocols.runtime_types import OsDefinition, OsUnusable
from gantry.runtime.environment import Environment
from gantry.runtime.shipped import OS_FOLDER

API_VERSIONS: Final = frozenset({10, 15, 20})
SEARCH_FOLDERS: Final = (
    "/srv/ganeti/os",
    "/usr/local/lib/ganeti/os",
    "/usr/lib/ganeti/os",
    "/usr/share/ganeti/os",
)
"""Below the node's root; the first hit wins."""

REQUIRED_SCRIPTS: Final = ("import", "export", "rename")
CREATE_SCRIPTS: Final = ("create", "create_untrusted")
VARIANTS_SINCE_API: Final = 15
PARAMETERS_SINCE_API: Final = 20


def split_name(os: str) -> tuple[str, str]:
    """Split ``name+variant``; the variant may be empty."""
    name, _, variant = os.partition("+")
    return name, variant


def parse_api_versions(text: str) -> tuple[int, ...]:
    """Read ``ganeti_api_version``: one integer a line.

    Raises:
        ValueError: a line is something else.
    """
    return tuple(int(line) for line in text.split("\n") if line.strip())


def parse_lines(text: str) -> tuple[str, ...]:
    """Return the lines of a list, without blank ones and comments."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def parse_parameters(text: str) -> tuple[tuple[str, str], ...]:
    """Read ``parameters.list``: name, white space, what it means."""
    split = (line.split(None, 1) for line in parse_lines(text))
    return tuple((parts[0], parts[1] if len(parts) > 1 else "") for parts in split)


def api_version(definition: OsDefinition) -> int:
    """Return the highest API version that a usable definition and Gantry share."""
    return max(API_VERSIONS & set(definition.api_versions))


@frozen
class OsFolder:
    """What is in a definition's folder."""

    name: str
    path: str
    programs: frozenset[str]
    api_version: str | None
    variants: str | None
    parameters: str | None


def examine(folder: OsFolder) -> OsDefinition:
    """Decide whether a folder is a usable definition: pure."""

    def row(problem: str, versions: Iterable[int] = ()) -> OsDefinition:
        return OsDefinition(
            folder.name,
            folder.path,
            problem,
            variants=parse_lines(folder.variants or ""),
            parameters=parse_parameters(folder.parameters or ""),
            api_versions=tuple(versions),
            trusted="create_untrusted" not in folder.programs,
        )

    if folder.api_version is None:
        return row("the file ganeti_api_version is missing")
    try:
        versions = parse_api_versions(folder.api_version)
    except ValueError:
        return row("ganeti_api_version must hold one integer on each line")
    common = API_VERSIONS & set(versions)
    if not common:
        offered, known = ", ".join(map(str, versions)), ", ".join(map(str, sorted(API_VERSIONS)))
        return row(f"its API versions ({offered}) are none of {known}", versions)
    missing = [script for script in REQUIRED_SCRIPTS if script not in folder.programs]
    if not folder.programs & set(CREATE_SCRIPTS):
        missing.append(" or ".join(CREATE_SCRIPTS))
    if max(common) >= PARAMETERS_SINCE_API:
        missing += ["verify"] if "verify" not in folder.programs else []
        missing += ["parameters.list"] if folder.parameters is None else []
    if missing:
        return row(f"missing or not executable: {', '.join(missing)}", versions)
    return row("", versions)


@frozen
class OsDefinitions:
    """The OS definitions of one node."""

    environment: Environment
    shipped: tuple[Path, ...] = (OS_FOLDER,)
    """Folders of definitions that come with Gantry; those that do not exist do not count."""

    def _folders(self) -> tuple[Path, ...]:
        return (*map(self.environment.paths.below, SEARCH_FOLDERS), *self.shipped)

    async def diagnose(self) -> tuple[OsDefinition, ...]:
        """Return every definition, usable or not, sorted by name."""
        found: dict[str, OsDefinition] = {}
        for folder in self._folders():
            for name in await self._names(folder):
                if name not in found:
                    found[name] = await self._examine(folder / name)
        return tuple(found[name] for name in sorted(found))

    async def find(self, os: str) -> OsDefinition:
        """Return the usable definition that an instance's OS names.

        Raises:
            OsUnusable: there is none, it is broken, or it has no such variant.
        """
        name, variant = split_name(os)
        for folder in self._folders():
            if name in await self._names(folder):
                definition = await self._examine(folder / name)
                if not definition.ok:
                    raise OsUnusable(os, definition.problem)
                if variant and variant not in definition.variants:
                    raise OsUnusable(os, f"it has no variant {variant}")
                return definition
        searched = ", ".join(map(str, self._folders()))
        raise OsUnusable(os, f"there is no such definition in {searched}")

    async def _names(self, folder: Path) -> tuple[str, ...]:
        return tuple(n for n in await self.environment.files.list(folder) if not n.startswith("."))

    async def _examine(self, path: Path) -> OsDefinition:
        return examine(
            OsFolder(
                name=path.name,
                path=str(path),
                programs=await executables(self.environment.processes, path),
                api_version=await self._text(path / "ganeti_api_version"),
                variants=await self._text(path / "variants.list"),
                parameters=await self._text(path / "parameters.list"),
            )
        )

    async def _text(self, path: Path) -> str | None:
        try:
            return (await self.environment.files.read(path)).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
