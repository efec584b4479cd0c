"""Run instance allocators: programs that choose nodes for instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from gantry.protocols.codec import Json, Malformed, to_bytes
from gantry.protocols.errors import OpExecError, OpPrereqError
from gantry.protocols.scripts.iallocator import FOLDERS, Answer, arguments, parse_answer
from gantry.runtime.environment import Environment

DEADLINE_SECONDS: Final = 900.0
"""As long as Ganeti waits."""

_ERRORS_APART: Final = 'errors=$1; shift; exec "$@" 2>"$errors"'
"""What an allocator says on standard error is for people; the answer is on standard output."""

SHOWN_BYTES_MAX: Final = 2000
"""How much of what a failing allocator said becomes part of the error."""


@frozen
class Allocators:
    """The allocators of this node."""

    environment: Environment

    async def run(
        self, name: str, document: Mapping[str, Json], parameters: Mapping[str, Json], key: str
    ) -> Answer:
        """Run one.

        Args:
            name: its file name.
            document: what it reads.
            parameters: the cluster's parameters for allocators.
            key: a name for temporary files that nobody else uses at the same time.

        Raises:
            OpPrereqError: there is no such allocator.
            OpExecError: it failed, or its answer can not be understood.
        """
        program = await self._find(name)
        folder = self.environment.paths.run / f"ganeti-iallocator.{key}"
        await self.environment.files.make_folder(folder, 0o700)
        try:
            return await self._answer(program, folder, document, parameters)
        finally:
            with trio.CancelScope(shield=True):  # a few removals; they do not wait for anybody
                await self.environment.files.remove_tree(folder)

    async def _find(self, name: str) -> Path:
        if name and "/" not in name and name not in (".", ".."):
            for path in self._places(name):
                if await self.environment.files.exists(path):
                    return path
        raise OpPrereqError(
            f"there is no instance allocator {name!r} in {' or '.join(FOLDERS)}; hail comes with "
            "the package ganeti-htools-3.0",
            "unknown_entity",
        )

    def _places(self, name: str) -> Iterator[Path]:
        """Yield first what belongs to this node alone, then what all of the machine's share."""
        for folder in FOLDERS:
            yield self.environment.paths.below(folder) / name
        for folder in FOLDERS:
            yield Path(folder) / name

    async def _answer(
        self,
        program: Path,
        folder: Path,
        document: Mapping[str, Json],
        parameters: Mapping[str, Json],
    ) -> Answer:
        read, errors = folder / "input", folder / "errors"
        await self.environment.files.write(read, to_bytes(document), 0o600)
        command = [str(program), str(read), *arguments(parameters)]
        try:
            ended = await self.environment.processes.run(
                ["/bin/sh", "-c", _ERRORS_APART, "sh", str(errors), *command],
                deadline_seconds=DEADLINE_SECONDS,
            )
        except trio.TooSlowError:
            text = f"instance allocator {program.name} ran longer than {DEADLINE_SECONDS:g} s"
            raise OpExecError(text) from None
        if ended.status != 0:
            read_part = self.environment.files.read_part
            said = ended.output + await read_part(errors, 0, SHOWN_BYTES_MAX)
            shown = said[:SHOWN_BYTES_MAX].decode(errors="replace").strip()
            text = f"instance allocator {program.name} failed with status {ended.status}: {shown}"
            raise OpExecError(text)
        try:
            return parse_answer(ended.output)
        except Malformed as error:
            raise OpExecError(f"instance allocator {program.name}: {error}") from error
