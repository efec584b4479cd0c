"""What a query needs and the configuration does not know: asked of everybody at once.

All questions share one deadline. Whoever does not answer in time costs its own fields only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio
from attrs import define, field

from gantry.core.query.live import LiveData, Needs, NodeLive
from gantry.core.query.view import View
from gantry.operations.instance.spec import instance_spec
from gantry.protocols.errors import ConnectionLost, GanetiError, ServiceError
from gantry.protocols.identity import InstanceUuid, NodeUuid
from gantry.protocols.noded import NodeD, NodeInfo
from gantry.protocols.objects.instance import Instance
from gantry.protocols.records import Index
from gantry.protocols.runtime_types import ConsoleAccess, InstanceRuntime
from gantry.protocols.wconfd import ConfigPart
from gantry.runtime.logs import Log
from gantry.runtime.node_links import NodeLinks

LIVE_SECONDS_MAX: Final = 8.0
"""How long a query waits for nodes; a client waits 180 s, a person less."""

K = TypeVar("K")
T = TypeVar("T")

LOG: Final = Log("luxid.live")


@define
class Inquiry:
    """The questions that one query has for nodes, and what came back."""

    view: View
    links: NodeLinks
    _infos: dict[NodeUuid, NodeInfo] = field(factory=dict, init=False)
    _instances: dict[NodeUuid, tuple[InstanceRuntime, ...]] = field(factory=dict, init=False)
    _exports: dict[NodeUuid, tuple[str, ...]] = field(factory=dict, init=False)
    _consoles: dict[InstanceUuid, ConsoleAccess] = field(factory=dict, init=False)

    async def ask(self, needs: Needs) -> LiveData:
        """Ask all nodes at once and return what came back in time."""
        hypervisors = tuple(self.view.configuration.cluster.enabled_hypervisors)
        with trio.move_on_after(LIVE_SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for node in sorted(needs.info):
                    nursery.start_soon(
                        self._one, node, lambda n: n.info(hypervisors), self._infos, node
                    )
                for node in sorted(needs.instances):
                    nursery.start_soon(
                        self._one, node, lambda n: n.instances(hypervisors), self._instances, node
                    )
                for node in sorted(needs.exports):
                    nursery.start_soon(self._one, node, lambda n: n.exports(), self._exports, node)
                for instance in sorted(needs.consoles):
                    nursery.start_soon(self._console, instance)
        nodes = {
            node: NodeLive(
                self._infos.get(node), self._instances.get(node), self._exports.get(node)
            )
            for node in {*self._infos, *self._instances, *self._exports}
        }
        return LiveData(nodes=nodes, consoles=self._consoles)

    async def _one(
        self,
        node: NodeUuid,
        question: Callable[[NodeD], Awaitable[T]],
        answers: dict[K, T],
        key: K,
    ) -> None:
        found = self.view.configuration.nodes.get(node)
        if found is None:
            return
        try:
            answers[key] = await self.links.ask_at(found, question, LIVE_SECONDS_MAX)
        except (ConnectionLost, ServiceError, OSError) as error:
            LOG.info("a node did not answer", node=found.name, reason=str(error))

    async def _console(self, uuid: InstanceUuid) -> None:
        instance = self.view.configuration.instances.get(uuid)
        if instance is None:
            return
        try:
            spec = instance_spec(self._part(instance), instance)
        except (GanetiError, ServiceError, ValueError) as error:
            LOG.info("no console", instance=instance.name, reason=str(error))
            return
        node = instance.primary_node
        await self._one(node, lambda n: n.console(spec), self._consoles, uuid)

    def _part(self, instance: Instance) -> ConfigPart:
        whole = self.view.configuration
        return ConfigPart(
            index=Index(0),
            cluster=whole.cluster,
            nodes={},
            groups={},
            instances={instance.uuid: instance},
            disks={uuid: whole.disks[uuid] for uuid in instance.disks if uuid in whole.disks},
            networks={str(uuid): network for uuid, network in whole.networks.items()},
        )
