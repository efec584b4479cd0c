"""Jobs over the remote API: submitting, showing, waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

import trio
from attrs import frozen

from gantry.daemons.rapid.asked import Asked
from gantry.daemons.rapid.errors import HttpError, bad_request
from gantry.daemons.rapid.opcodes import OpcodeJson
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.luxi import Luxi
from gantry.protocols.rapi import JOB_FIELDS, JOB_FIELDS_BULK, WAIT_SECONDS_MAX
from gantry.runtime.luxi_client import LuxiMisuse, error_of

FINAL: Final = frozenset({"success", "error", "canceled"})

OWN_JOB_SECONDS_MAX: Final = 120.0
"""For a job that RapiD itself submits to find something out."""


@frozen
class Jobs:
    """Carries out what is about jobs."""

    luxi: Luxi

    async def submit(self, opcodes: Sequence[OpcodeJson]) -> int:
        """Submit a job and return its id.

        Raises:
            HttpError: 501: LuxiD can not carry out one of its opcodes.
        """
        try:
            return await self.luxi.submit_job(tuple(opcodes))
        except OpPrereqError as error:  # the opcodes are valid, so it is this that LuxiD means
            raise HttpError(501, str(error)) from error

    async def all(self, asked: Asked) -> Json:
        """List all jobs."""
        if asked.flag("bulk"):
            rows = _rows(await self.luxi.query_jobs(None, JOB_FIELDS_BULK))
            return [dict(zip(JOB_FIELDS_BULK, row, strict=True)) for row in rows if row]
        rows = _rows(await self.luxi.query_jobs(None, ("id",)))
        ids = sorted(cast("list[int]", [row[0] for row in rows if row]))
        return [{"id": job, "uri": f"/2/jobs/{job}"} for job in ids]

    async def one(self, asked: Asked) -> Json:
        """Show a job; one that does not exist has nothing but its id."""
        rows = _rows(await self.luxi.query_jobs((_job(asked),), JOB_FIELDS))
        if not rows or rows[0] is None:
            raise HttpError(404)
        return dict(zip(JOB_FIELDS, rows[0], strict=True))

    async def cancel(self, asked: Asked) -> Json:
        """Cancel a job."""
        return list(await self.luxi.cancel_job(_job(asked)))

    async def changes(self, asked: Asked) -> Json:
        """Wait until a job has changed, or some seconds."""
        given = asked.members()
        fields, serial = given.get("fields"), given.get("previous_log_serial")
        if not isinstance(fields, list) or not all(isinstance(each, str) for each in fields):
            raise bad_request("Parameter 'fields' must be a list of names")
        if serial is not None and type(serial) is not int:
            raise bad_request("Parameter 'previous_log_serial' must be a whole number or null")
        previous = given.get("previous_job_info")
        answer = await self.luxi.wait_for_job_change(
            _job(asked), tuple(fields), previous, serial, WAIT_SECONDS_MAX
        )
        match answer:
            case "nochange":
                return None
            case [info, entries]:
                return {"job_info": info, "log_entries": entries}
            case _:
                raise HttpError(404)

    async def os_names(self, asked: Asked) -> Json:
        """List the OS definitions that are valid on all nodes, with their variants."""
        opcode: OpcodeJson = {
            "OP_ID": "OP_OS_DIAGNOSE",
            "output_fields": ["name", "variants"],
            "names": [],
            "reason": asked.reason(),
        }
        result = await self._result_of(await self.submit([opcode]))
        if not isinstance(result, list):
            raise LuxiMisuse("the result of OP_OS_DIAGNOSE is no list")
        return [name for row in result for name in _variants(row)]

    async def _result_of(self, job: int) -> Json:
        """Wait for the end of a job of our own and return the result of its one opcode.

        Raises:
            GanetiError: that is how it failed.
        """
        with trio.fail_after(OWN_JOB_SECONDS_MAX):
            known: Json = None
            while True:
                fields = ("status", "opresult")
                answer = await self.luxi.wait_for_job_change(
                    job, fields, known, None, WAIT_SECONDS_MAX
                )
                match answer:
                    case [[status, [result]], _] if status in FINAL:
                        if status == "success":
                            return result
                        raise error_of(result)
                    case [list(known), _]:
                        continue
                    case _:
                        raise LuxiMisuse(f"job {job} changed to {answer!r:.80}")


def _job(asked: Asked) -> int:
    return int(asked.values["job_id"])


def _rows(answer: Json) -> list[list[Json] | None]:
    if not isinstance(answer, list):
        raise LuxiMisuse("a table of jobs without rows")
    return cast("list[list[Json] | None]", answer)


def _variants(row: Json) -> Iterator[str]:
    match row:
        case [str(name), list([_, *_] as variants)]:
            yield from (f"{name}+{variant}" for variant in variants)
        case [str(name), _]:
            yield name
        case _:
            raise LuxiMisuse(f"an OS definition {row!r:.80}")
