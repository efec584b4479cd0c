"""Rendering ``config.data``: a large configuration is rendered piece by piece.

The event loop is left to others between two pieces, so that a cluster of ten thousand
instances is rewritten without anybody waiting for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final, cast

import trio
from attrs import evolve
from immutables import Map

from gantry.core.config.claims import Stored
from gantry.protocols.codec import Json, to_bytes
from gantry.protocols.objects.configuration import Configuration, dump_configuration
from gantry.protocols.objects.wire import dump_object

PIECE_OBJECTS: Final = 50
"""About two milliseconds' work, below the five that the design allows."""


async def rendered(configuration: Configuration) -> bytes:
    """Return the content of the file."""
    parts: list[bytes] = []
    opened = b"{"
    for key, value in _frame(configuration).items():
        parts.append(opened + to_bytes(key) + b":")
        opened = b","
        if key in _maps(configuration):
            parts.append(b"{")
            async for piece in _pieces(configuration, key):
                members = (to_bytes(uuid) + b":" + to_bytes(each) for uuid, each in piece)
                parts += (b"" if parts[-1] == b"{" else b",", b",".join(members))
            parts.append(b"}")
        else:
            parts.append(to_bytes(value))
    return b"".join((*parts, b"}"))


async def dumped(configuration: Configuration) -> dict[str, Json]:
    """Return the JSON value of the file."""
    value = _frame(configuration)
    for key in _maps(configuration):
        objects: dict[str, Json] = {}
        async for piece in _pieces(configuration, key):
            objects.update(piece)
        value[key] = objects
    return value


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


async def _pieces(configuration: Configuration, key: str) -> AsyncIterator[list[tuple[str, Json]]]:
    """Return the JSON forms of one map's objects, some at a time."""
    piece: list[tuple[str, Json]] = []
    for uuid, stored in _objects(configuration, key):
        piece.append((uuid, dump_object(stored)))
        if len(piece) == PIECE_OBJECTS:
            yield piece
            piece = []
            await trio.lowlevel.checkpoint()
    if piece:
        yield piece


def _objects(configuration: Configuration, key: str) -> Iterator[tuple[str, Stored]]:
    for objects in _maps(configuration)[key]:
        yield from objects.items()
