"""Opcodes that ask for objects of any kind."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import frozen

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.values import Json, NonEmpty

Resource = Literal[
    "cluster",
    "export",
    "extstorage",
    "filter",
    "group",
    "instance",
    "job",
    "lock",
    "network",
    "node",
    "os",
]


@frozen(kw_only=True)
class OpQuery(Opcode):
    """Return fields of objects."""

    what: Resource
    use_locking: bool = False
    fields: tuple[NonEmpty, ...]
    qfilter: tuple[Json, ...] | None = None
    """In the query language's list form; ``None``: all objects."""

    SUMMARY: ClassVar[str | None] = "what"


@frozen(kw_only=True)
class OpQueryFields(Opcode):
    """Return the definitions of fields."""

    what: Resource
    fields: tuple[NonEmpty, ...] | None = None
    """``None``: all."""

    SUMMARY: ClassVar[str | None] = "what"
