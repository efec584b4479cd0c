"""What all opcodes have in common.

An opcode is one thing to be done by a job, as a frozen value. Names, types and defaults of the
parameters are Ganeti's; ``OpInstanceCreate`` is ``OP_INSTANCE_CREATE`` on the wire.

The modules with opcodes are light (attrs and no codec), since the command line imports those
that it sends. Parsing is in :mod:`~gantry.protocols.opcodes.parsing`, rendering in
:mod:`~gantry.protocols.opcodes.rendering`, and the list of all opcodes in
:mod:`~gantry.protocols.opcodes.registry`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal, cast

from attrs import frozen

from gantry.protocols.identity import job_id_of
from gantry.protocols.values import Json, NonEmpty, NonNegative

Dependency = tuple[int, tuple[Literal["canceled", "error", "success"], ...]]
"""A job to wait for, and how it may have ended (any way, if empty).

A negative number counts back from the job's own place in the submission.
"""

ReasonEntry = tuple[str, str, int]
"""Who gave a reason, the reason, and when (nanoseconds since the epoch)."""


@cache
def op_id_of(class_name: str) -> str:
    """Return an opcode's name on the wire: ``OpNodeAdd`` is ``OP_NODE_ADD``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).upper()


@frozen(kw_only=True)
class Opcode:
    """Base of all opcodes: the parameters that every one of them takes."""

    dry_run: bool | None = None
    """Check everything and run the pre-hooks, then stop."""
    debug_level: NonNegative | None = None
    priority: Literal[-10, 0, 10] = 0
    """High, normal or low; while it waits for locks the job process raises its own."""
    depends: tuple[Dependency, ...] | None = None
    comment: str | None = None
    reason: tuple[ReasonEntry, ...] | None = ()
    """Why this is done, the origin first. It must be given on the wire, empty or not."""

    SUMMARY: ClassVar[str | None] = None
    """The parameter that a one-line summary shows."""

    @classmethod
    def op_id(cls) -> str:
        """Return the name on the wire."""
        return op_id_of(cls.__name__)

    @classmethod
    def from_wire(cls, sent: Mapping[str, Json]) -> Mapping[str, Json]:
        """Turn other permitted forms of parameters into the one that is kept."""
        depends = sent.get("depends")
        if not isinstance(depends, list):
            return sent
        return {**sent, "depends": [_with_numeric_id(each) for each in depends]}


def _with_numeric_id(dependency: Json) -> Json:
    """Read a job id that is given as decimal digits."""
    if isinstance(dependency, list) and dependency:
        job, *rest = cast("list[Json]", dependency)
        number = job_id_of(job) if isinstance(job, str) else None
        if number is not None:
            return [number, *rest]
    return dependency


@frozen(kw_only=True)
class InstanceOpcode(Opcode):
    """An opcode about one instance."""

    instance_name: str
    instance_uuid: NonEmpty | None = None
    """Filled in when the name has been looked up; so are the uuids of all other names."""

    SUMMARY: ClassVar[str | None] = "instance_name"


@frozen(kw_only=True)
class NodeOpcode(Opcode):
    """An opcode about one node."""

    node_name: NonEmpty
    node_uuid: NonEmpty | None = None

    SUMMARY: ClassVar[str | None] = "node_name"


@frozen(kw_only=True)
class GroupOpcode(Opcode):
    """An opcode about one node group."""

    group_name: NonEmpty

    SUMMARY: ClassVar[str | None] = "group_name"


@frozen(kw_only=True)
class NetworkOpcode(Opcode):
    """An opcode about one network."""

    network_name: NonEmpty

    SUMMARY: ClassVar[str | None] = "network_name"
