"""Rendering ``config.data``: piece by piece, and no object twice.

The event loop is left to others between two pieces, so that a cluster of ten thousand
instances is rewritten without anybody waiting for it. What was rendered is kept until its object
changes: a rewrite costs little more than putting the texts together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final, cast

import trio
from attrs import define, evolve, field
from immutables import Map

from gantry.core.config.claims import Stored
from gantry.protocols.codec import Json, to_bytes, to_pieces
from gantry.protocols.objects.configuration import Configuration, dump_configuration
from gantry.protocols.objects.wire import dump_object
from gantry.protocols.values import RenderedJson

PIECE_OBJECTS: Final = 50
"""Rendered at once: about two milliseconds' work, below the five that the design allows."""

KEPT_PIECE_OBJECTS: Final = 1500
"""Looked up at once where they are rendered already: about as much work."""


@define
class ConfigFile:
    """Renders one configuration after the other."""

    _kept: dict[str, tuple[Stored, bytes]] = field(factory=dict, init=False)
    """The members of the file's maps as they were rendered last, by UUID."""

    async def rendered(self, configuration: Configuration) -> list[bytes]:
        """Return the content of the file, in pieces."""
        return to_pieces(await self.value(configuration))

    async def value(self, configuration: Configuration) -> dict[str, Json]:
        """Return the JSON value of the file, whose maps are rendered already."""
        kept: dict[str, tuple[Stored, bytes]] = {}
        value = _frame(configuration)
        for key in _maps(configuration):
            pieces = [b"{"]
            async for members in self._members(configuration, key, kept):
                pieces += (b"" if len(pieces) == 1 else b",", members)
            value[key] = RenderedJson((*pieces, b"}"))
        self._kept = kept
        return value

    async def _members(
        self,
        configuration: Configuration,
        key: str,
        kept: dict[str, tuple[Stored, bytes]],
    ) -> AsyncIterator[bytes]:
        """Return one map's members, some at a time."""
        members: list[bytes] = []
        work = 0
        for uuid, stored in _objects(configuration, key):
            before = self._kept.get(uuid)
            if before is not None and before[0] is stored:
                kept[uuid] = before
                work += PIECE_OBJECTS
            else:
                kept[uuid] = stored, to_bytes(uuid) + b":" + to_bytes(dump_object(stored))
                work += KEPT_PIECE_OBJECTS
            members.append(kept[uuid][1])
            if work >= PIECE_OBJECTS * KEPT_PIECE_OBJECTS:
                yield b",".join(members)
                members, work = [], 0
                await trio.lowlevel.checkpoint()
        if members:
            yield b",".join(members)
            await trio.lowlevel.checkpoint()


def _maps(configuration: Configuration) -> dict[str, tuple[Map[str, Stored], ...]]:
    """Return the objects by their key in the file."""
    maps = {
        "nodes": (configuration.nodes,),
        "nodegroups": (configuration.nodegroups,),
        "instances": (configuration.instances, configuration.forthcoming_instances),
        "networks": (configuration.networks,),
        "disks": (configuration.disks, configuration.forthcoming_disks),
        "filters": (configuration.filters,),
    }
    return cast("dict[str, tuple[Map[str, Stored], ...]]", maps)


def _frame(configuration: Configuration) -> dict[str, Json]:
    """Return the JSON value with no objects but the cluster's own."""
    return dump_configuration(
        evolve(
            configuration,
            nodes=Map(),
            nodegroups=Map(),
            instances=Map(),
            networks=Map(),
            disks=Map(),
            filters=Map(),
            forthcoming_instances=Map(),
            forthcoming_disks=Map(),
        )
    )


def _objects(configuration: Configuration, key: str) -> Iterator[tuple[str, Stored]]:
    for objects in _maps(configuration)[key]:
        yield from objects.items()
