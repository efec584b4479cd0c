"""From what a client sends to a job: checked first, numbered then.

Opcodes are parsed once, here. A job is stored in normal form: every default is written out, so
that it never changes its meaning; ids of jobs it depends on are absolute; secrets are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import attrs
from attrs import frozen

from gantry.protocols.codec import Json, digest_of, to_bytes
from gantry.protocols.errors import GanetiError, OpPrereqError
from gantry.protocols.identity import JobId
from gantry.protocols.jobs import Timestamp
from gantry.protocols.opcodes.opcode import Dependency, Opcode
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.opcodes.secret_parameters import secrets_of
from gantry.protocols.queue_records import NewJob, OpcodeJson, Sending

Opcodes = tuple[Opcode, ...]
"""The opcodes of one job, parsed."""

Secrets = tuple[Mapping[str, str], ...]
"""The secret parameters of each opcode of a job; kept in memory only."""

OPCODES_MAX: Final = 10_000
"""In one job; far more than any client sends, and few enough to handle at once."""

NANOSECONDS_SINCE_2001: Final = 10**18
"""A smaller time stamp is not in nanoseconds, so it tells no two submissions apart."""


@frozen
class NewlyNumbered:
    """A job with its id, and what must not be stored of it."""

    stored: NewJob
    secrets: Secrets


class BadDependency(ValueError):
    """A relative job id points before the first job."""


def check(ops: Sequence[Json], available: Callable[[str], bool]) -> Opcodes:
    """Parse the opcodes of one job.

    Raises:
        BadOpcode: one is unknown or has wrong parameters.
        OpPrereqError: one is known but can not be carried out, or there are too many.
    """
    if len(ops) > OPCODES_MAX:
        raise OpPrereqError(f"a job has at most {OPCODES_MAX} opcodes, not {len(ops)}")
    opcodes = tuple(map(parse_opcode, ops))
    for opcode in opcodes:
        if not available(opcode.op_id()):
            text = f"{opcode.op_id()} can not be carried out by this version of Gantry yet"
            raise OpPrereqError(text, "wrong_input")
    return opcodes


def check_wanted(
    ops: Sequence[Json], available: Callable[[str], bool], parent: Opcode | None = None
) -> Opcodes | str:
    """Parse the opcodes of a job that another job wants; a text says why not.

    What the wanting opcode leaves to its children: the debug level, the priority and the trail.
    """
    try:
        opcodes = check(ops, available)
    except (BadOpcode, GanetiError) as error:
        return str(error)
    return opcodes if parent is None else tuple(_inherit(each, parent) for each in opcodes)


def _inherit(opcode: Opcode, parent: Opcode) -> Opcode:
    return attrs.evolve(
        opcode,
        debug_level=parent.debug_level,
        priority=opcode.priority or parent.priority,
        comment=opcode.comment or f"Submitted by {parent.op_id()}",
        reason=(*(opcode.reason or ()), *(parent.reason or ())),
    )


def number(job: JobId, opcodes: Opcodes, received: Timestamp) -> NewlyNumbered:
    """Give a checked job its id.

    Raises:
        BadDependency: a relative id points before the first job.
    """
    numbered = [_numbered(job, index, op, received) for index, op in enumerate(opcodes)]
    stored = tuple(map(dump_opcode, numbered))
    secrets = tuple(map(_secrets, opcodes))
    return NewlyNumbered(NewJob(job, stored), secrets if any(secrets) else ())


def _secrets(opcode: Opcode) -> Mapping[str, str]:
    """Return an opcode's secrets as its OS scripts will see them: as text."""
    found = (secrets_of(opcode) or {}).items()
    return {k: v if isinstance(v, str) else to_bytes(v).decode() for k, v in found}


def _numbered(job: JobId, index: int, opcode: Opcode, received: Timestamp) -> Opcode:
    nanoseconds = received[0] * 1_000_000_000 + received[1] * 1000
    source = f"gnt:opcode:{opcode.op_id().removeprefix('OP_').lower()}"
    entry = (source, f"job={job};index={index}", nanoseconds)
    depends = opcode.depends
    return attrs.evolve(
        opcode,
        depends=None if depends is None else tuple(_absolute(job, each) for each in depends),
        reason=(*(opcode.reason or ()), entry),
    )


def _absolute(job: JobId, dependency: Dependency) -> Dependency:
    other, statuses = dependency
    if other < 0:
        other += job
        if other < 1:
            raise BadDependency(f"job {job} can not depend on job {dependency[0]} before it")
    return other, statuses


# --- repeated submissions ------------------------------------------------------------------------


def sending_of(
    method: str, user: int, connection: str, jobs: Sequence[Sequence[OpcodeJson]]
) -> Sending | None:
    """Say how a repetition of this submission is recognised; ``None`` if it can't be.

    Only a reason that the client gave with its time in nanoseconds tells two submissions apart
    that are alike otherwise; every opcode must have one.
    """
    if not jobs or not all(_is_stamped(op) for job in jobs for op in job) or not all(jobs):
        return None
    return Sending(digest_of([method, user, jobs]), connection)


def _is_stamped(op: OpcodeJson) -> bool:
    trail = op.get("reason")
    entries = cast("list[object]", trail) if isinstance(trail, list) else []
    return any(
        isinstance(entry, list)
        and len(entry) == 3
        and isinstance(entry[2], int)
        and entry[2] >= NANOSECONDS_SINCE_2001
        for entry in entries
    )
