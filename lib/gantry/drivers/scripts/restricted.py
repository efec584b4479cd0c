"""Run restricted commands: the few programs that a node's administrator lets the cluster run.

They are files in a folder that nobody but root may write to. Whoever may submit jobs may run
them, so a command that is not there, or not safe, is answered late and with no reason: that is
for the administrator, in NodeD's log.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import trio
from attrs import define, field

from gantry.drivers.scripts.os_variables import PATH
from gantry.protocols.runtime_types import RESTRICTED_SECONDS_MAX
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log

TURN_SECONDS_MAX: Final = 8.0
"""How long a command waits for another one to end: they run one at a time."""

REFUSAL_SECONDS: Final = 10.0
"""A refusal takes so long, so that nobody finds out names by trying."""

REFUSED: Final = "the command could not be run; the log of the node daemon on that node says why"

_LOOK_SECONDS_MAX: Final = 30.0
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_WRITABLE_BY_OTHERS: Final = 0o022
_EXECUTABLE: Final = 0o111

LOG: Final = Log("noded.restricted")


class _Unsafe(Exception):
    """A command must not be run; the text says why."""


@define
class RestrictedCommands:
    """The restricted commands of one node."""

    environment: Environment
    _turn: trio.Lock = field(factory=trio.Lock, init=False)

    @property
    def folder(self) -> Path:
        """Where the commands are."""
        return self.environment.paths.etc / "restricted-commands"

    async def run(self, name: str) -> tuple[bool, str]:
        """Run a command without arguments and with an empty environment.

        Returns:
            Whether it succeeded, and its output, or what is wrong.
        """
        try:
            with trio.fail_after(TURN_SECONDS_MAX):
                await self._turn.acquire()
        except trio.TooSlowError:
            return await self._refuse(name, "another one is being run")
        try:
            await self._check(name)
            return await self._run(name)
        except _Unsafe as problem:
            return await self._refuse(name, str(problem))
        finally:
            self._turn.release()

    async def _refuse(self, name: str, problem: str) -> tuple[bool, str]:
        LOG.error("restricted command refused", command=name, reason=problem)
        await trio.sleep(REFUSAL_SECONDS)
        return False, REFUSED

    async def _check(self, name: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise _Unsafe("its name is not made of letters, digits, _ and -")
        # The first tells who asks: the owner of its own process.
        places = ["/proc/self/", str(self.folder), str(self.folder / name)]
        options = ["-maxdepth", "0", "-printf", r"%U %G %m %y\n"]
        found = await self.environment.processes.run(
            ["find", *places, *options], deadline_seconds=_LOOK_SECONDS_MAX
        )
        if found.status != 0:
            raise _Unsafe(f"there is no {self.folder / name}")
        own, folder, command = (line.split() for line in found.output.decode().splitlines())
        _check_owner(str(self.folder), folder, own[0])
        _check_owner(str(self.folder / name), command, own[0])
        if folder[3] != "d" or command[3] != "f" or not int(command[2], 8) & _EXECUTABLE:
            raise _Unsafe("it is no executable regular file")

    async def _run(self, name: str) -> tuple[bool, str]:
        try:
            ended = await self.environment.processes.run(
                [str(self.folder / name)],
                environment={"PATH": PATH},
                folder=Path("/"),
                deadline_seconds=RESTRICTED_SECONDS_MAX,
            )
        except OSError as error:
            raise _Unsafe(f"it can not be run: {error.strerror or error}") from error
        except trio.TooSlowError:
            text = f"it was killed after {RESTRICTED_SECONDS_MAX:g} s"
            return False, text
        output = ended.output.decode(errors="replace")
        if ended.status == 0:
            return True, output
        how = f"status {ended.status}" if ended.status > 0 else f"signal {-ended.status}"
        return False, f"it ended with {how}; output: {output}"


def _check_owner(path: str, found: list[str], own: str) -> None:
    """Demand that nobody but root, or the user that runs all this, may change a file."""
    owner, group, mode = found[:3]
    if owner != own and owner != "0":
        raise _Unsafe(f"{path} belongs to another user than root")
    if (owner == "0" and group != "0") or int(mode, 8) & _WRITABLE_BY_OTHERS:
        raise _Unsafe(f"{path} may be written to by others than root")
