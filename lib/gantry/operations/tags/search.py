"""OP_TAGS_SEARCH: find tags by a regular expression."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gantry.operations.operation import Operation, only_the_big_lock
from gantry.operations.whole import EVERYTHING
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.tags import OpTagsSearch
from gantry.protocols.patterns import BadPattern, finder
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import ConfigPart

Tagged = Instance | Node | NodeGroup | Network


async def plan(opcode: OpTagsSearch, world: World) -> Plan:
    """Return (path, tag) of every tag in which the expression is found."""
    try:
        is_wanted = finder(opcode.pattern)
    except BadPattern as error:
        raise OpPrereqError(str(error), "wrong_input") from error
    part = await world.read(EVERYTHING)
    found = [[path, tag] for path, tags in _tagged(part) for tag in sorted(tags) if is_wanted(tag)]
    return Plan(opcode.op_id(), OPERATION.version, (), found)


def _tagged(part: ConfigPart) -> Iterator[tuple[str, frozenset[str]]]:
    yield "/cluster", part.cluster.tags
    yield from _in_order("instances", part.instances.values())
    yield from _in_order("nodes", part.nodes.values())
    yield from _in_order("nodegroup", part.groups.values())
    yield from _in_order("network", part.networks.values())


def _in_order(kind: str, objects: Iterable[Tagged]) -> Iterator[tuple[str, frozenset[str]]]:
    for each in sorted(objects, key=lambda each: each.name):
        yield f"/{kind}/{each.name}", each.tags


OPERATION: Final = Operation(OpTagsSearch, only_the_big_lock, plan)
