"""Run the scripts of OS definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from gantry.drivers.file_sizes import tail_of
from gantry.drivers.scripts.os_definitions import PARAMETERS_SINCE_API, OsDefinitions, api_version
from gantry.drivers.scripts.os_variables import core_variables, instance_variables
from gantry.protocols.runtime_types import InstanceSpec, OsDefinition, OsUnusable, ScriptFailed
from gantry.runtime.environment import Environment

LAST_LINES: Final = 20
LAST_BYTES_MAX: Final = 16 * 1024
"""Of a script's log, which may be of any length, the end is read for these lines."""

SCRIPT_DEADLINE_SECONDS: Final = 86400.0
"""An installation may fetch a whole system; the job's cancellation ends it sooner."""

CANNOT_RUN: Final = 126
"""The status that shells give to what can not be run."""

VERIFY_DEADLINE_SECONDS: Final = 300.0


def log_name(kind: str, os: str, instance: str, seconds: float) -> str:
    """Return the name of a script's log."""
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d_%H_%M_%S")
    return f"{kind}-{os}-{instance}-{stamp}.log".replace("/", "_")


@frozen
class OsScripts:
    """The scripts of one node's OS definitions."""

    environment: Environment
    definitions: OsDefinitions

    async def create(
        self,
        spec: InstanceSpec,
        disks: Sequence[Path],
        *,
        reinstall: bool = False,
        secrets: Mapping[str, str] | None = None,
    ) -> Path:
        """Install an instance's OS; return the log.

        Args:
            spec: the instance; it does not run.
            disks: where its disks are on this machine, in its order.
            reinstall: whether there was a system before.
            secrets: more OS parameters, which must be written nowhere.

        Raises:
            OsUnusable: there is no such OS here, or only with an untrusted create script.
            ScriptFailed: the script failed.
        """
        definition = await self.definitions.find(spec.os)
        if not definition.trusted:
            problem = "its create_untrusted script needs a helper machine, which is not supported"
            raise OsUnusable(spec.os, problem)
        more = {"INSTANCE_REINSTALL": "1"} if reinstall else {}
        return await self._run("create", definition, spec, disks, more, secrets or {})

    async def rename(self, spec: InstanceSpec, disks: Sequence[Path], old_name: str) -> Path:
        """Tell an instance's OS its new name, which ``spec`` has; return the log.

        Raises:
            OsUnusable: there is no such OS here.
            ScriptFailed: the script failed.
        """
        definition = await self.definitions.find(spec.os)
        more = {"OLD_INSTANCE_NAME": old_name}
        return await self._run("rename", definition, spec, disks, more, {})

    async def verify(self, os: str, parameters: Mapping[str, str]) -> None:
        """Check OS parameters before an instance has them.

        Raises:
            OsUnusable: there is no such OS here, or it has no such parameter.
            ScriptFailed: the script does not like a value.
        """
        definition = await self.definitions.find(os)
        if api_version(definition) < PARAMETERS_SINCE_API:
            return
        unknown = sorted(parameters.keys() - {name for name, _ in definition.parameters})
        if unknown:
            raise OsUnusable(os, f"it has no parameters {', '.join(unknown)}")
        folder = Path(definition.path)
        ended = await self.environment.processes.run(
            [str(folder / "verify"), "parameters"],
            environment=core_variables(definition, os, parameters),
            folder=folder,
            deadline_seconds=VERIFY_DEADLINE_SECONDS,
        )
        if ended.status != 0:
            lines = tuple(ended.output.decode(errors="replace").splitlines()[-LAST_LINES:])
            raise ScriptFailed("verify", f"OS {os}", ended.status, "not written", lines)

    async def _run(
        self,
        kind: str,
        definition: OsDefinition,
        spec: InstanceSpec,
        disks: Sequence[Path],
        more: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> Path:
        folder = self.environment.paths.logs / "os"
        await self.environment.files.make_folder(folder)
        log = folder / log_name(kind, spec.os, spec.name, self.environment.clock.now())
        variables = {
            **core_variables(definition, spec.os, {**spec.osparams, **secrets}),
            **instance_variables(spec, disks),
            **more,
        }
        script, subject = Path(definition.path) / kind, f"instance {spec.name}"
        try:
            with trio.fail_after(SCRIPT_DEADLINE_SECONDS):
                async with self.environment.processes.start(
                    [str(script)], environment=variables, folder=script.parent, log=log
                ) as process:
                    status = await process.wait()
        except OSError as error:
            problem = f"{script} can not be run: {error.strerror or error}"
            raise ScriptFailed(kind, subject, CANNOT_RUN, str(log), (problem,)) from error
        except trio.TooSlowError:
            problem = f"it was killed after {SCRIPT_DEADLINE_SECONDS:g} s"
            raise ScriptFailed(kind, subject, CANNOT_RUN, str(log), (problem,)) from None
        if status != 0:
            env = self.environment
            text = await tail_of(env.files, env.processes, log, LAST_BYTES_MAX)
            lines = tuple(text.splitlines()[-LAST_LINES:])
            raise ScriptFailed(kind, subject, status, str(log), lines)
        return log
