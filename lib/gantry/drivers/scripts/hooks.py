"""Run hooks: an administrator's programs around every operation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import trio
from attrs import frozen

from gantry.drivers.scripts.executables import executables
from gantry.drivers.scripts.os_variables import PATH
from gantry.protocols.runtime_types import HookResult, PathRefused
from gantry.runtime.environment import Environment

SCRIPT_DEADLINE_SECONDS: Final = 900.0
"""For one script: as long as Ganeti waits for the whole call."""

_RUN_PARTS_NAME: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def runs(name: str, programs: frozenset[str]) -> bool:
    """Whether run-parts would run an entry of a folder."""
    return name in programs and _RUN_PARTS_NAME.fullmatch(name) is not None


@frozen
class Hooks:
    """The hooks of one node."""

    environment: Environment

    @property
    def folder(self) -> Path:
        """Where the folders of scripts are."""
        return self.environment.paths.etc / "hooks"

    async def found(self, path: str, phase: Literal["pre", "post"]) -> tuple[str, ...]:
        """Return the names in the folder of one path and phase, run or not, sorted.

        Raises:
            PathRefused: that is no name of a folder.
        """
        if _RUN_PARTS_NAME.fullmatch(path) is None:
            raise PathRefused(path, "a hooks path is made of letters, digits, _ and -")
        return await self.environment.files.list(self.folder / f"{path}-{phase}.d")

    async def run(
        self, path: str, phase: Literal["pre", "post"], variables: Mapping[str, str]
    ) -> tuple[HookResult, ...]:
        """Run the scripts of one path and phase one after another, sorted by name.

        A script that fails does not keep the others from running.

        Args:
            path: the hooks path of the operation, such as ``instance-add``.
            phase: before or after it.
            variables: the scripts' whole environment; ``PATH`` is added.
        """
        names = await self.found(path, phase)
        folder = self.folder / f"{path}-{phase}.d"
        programs = await executables(self.environment.processes, folder) if names else frozenset()
        return tuple(
            [
                await self._run(folder / name, {**variables, "PATH": PATH})
                if runs(name, programs)
                else HookResult(f"{folder.name}/{name}", "skip", "")
                for name in names
            ]
        )

    async def _run(self, script: Path, variables: Mapping[str, str]) -> HookResult:
        name = f"{script.parent.name}/{script.name}"
        try:
            ended = await self.environment.processes.run(
                [str(script)],
                environment=variables,
                folder=Path("/"),
                deadline_seconds=SCRIPT_DEADLINE_SECONDS,
            )
        except OSError as error:
            return HookResult(name, "fail", f"it can not be run: {error.strerror or error}")
        except trio.TooSlowError:
            return HookResult(name, "fail", f"it ran longer than {SCRIPT_DEADLINE_SECONDS:g} s")
        output = ended.output.decode(errors="replace").strip()
        return HookResult(name, "success" if ended.status == 0 else "fail", output)
