"""Opcodes about tags."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import frozen

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.values import NonEmpty

TagKind = Literal["cluster", "instance", "network", "node", "nodegroup"]


@frozen(kw_only=True)
class OpTagsGet(Opcode):
    """Return the tags of an object."""

    kind: TagKind
    use_locking: bool = False
    name: str | None = None
    """The object's name; ``None`` for the cluster, here and in all opcodes about tags."""

    SUMMARY: ClassVar[str | None] = "kind"


@frozen(kw_only=True)
class OpTagsSearch(Opcode):
    """Return (path of the object, tag) of all tags that match a regular expression."""

    pattern: NonEmpty

    SUMMARY: ClassVar[str | None] = "pattern"


@frozen(kw_only=True)
class OpTagsSet(Opcode):
    """Add tags to an object."""

    kind: TagKind
    tags: tuple[str, ...]
    name: str | None = None


@frozen(kw_only=True)
class OpTagsDel(Opcode):
    """Remove tags from an object, all of which it must have."""

    kind: TagKind
    tags: tuple[str, ...]
    name: str | None = None
