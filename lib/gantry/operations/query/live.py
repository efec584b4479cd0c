"""What a query needs and the configuration does not know: asked of all nodes at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from gantry.core.query.live import LiveData, Needs, NodeLive
from gantry.core.query.view import View
from gantry.operations.instance.spec import instance_spec
from gantry.operations.world import NoAnswer, World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import InstanceUuid, NodeUuid
from gantry.protocols.objects.node import Node
from gantry.protocols.runtime_types import ConsoleAccess
from gantry.protocols.wconfd import ConfigPart

T = TypeVar("T")


async def ask_nodes(needs: Needs, view: View, part: ConfigPart, world: World) -> LiveData:
    """Return what came back; a node that does not answer costs its own fields only."""
    hypervisors = tuple(part.cluster.enabled_hypervisors)
    infos = await world.ask_all(_nodes(view, needs.info), lambda _, n: n.info(hypervisors))
    running = await world.ask_all(
        _nodes(view, needs.instances), lambda _, n: n.instances(hypervisors)
    )
    exports = await world.ask_all(_nodes(view, needs.exports), lambda _, n: n.exports())
    nodes = {
        uuid: NodeLive(
            _answer(infos.get(uuid)), _answer(running.get(uuid)), _answer(exports.get(uuid))
        )
        for uuid in {*infos, *running, *exports}
    }
    consoles = {uuid: await _console(uuid, part, world) for uuid in needs.consoles}
    return LiveData(nodes, {u: each for u, each in consoles.items() if each is not None})


def _nodes(view: View, wanted: Iterable[NodeUuid]) -> list[Node]:
    found = view.configuration.nodes
    return [found[uuid] for uuid in wanted if uuid in found]


def _answer(answer: T | NoAnswer | None) -> T | None:
    return None if isinstance(answer, NoAnswer) else answer


async def _console(uuid: InstanceUuid, part: ConfigPart, world: World) -> ConsoleAccess | None:
    instance = part.instances[uuid]
    try:
        spec = instance_spec(part, instance)
        node = part.nodes[instance.primary_node]
        return await world.ask(node, lambda n: n.console(spec))
    except (OpPrereqError, ValueError):  # it has none, or its node does not answer
        return None
