"""Ssconf values for all nodes; master candidates get the configuration by replication.

They follow each rewrite of ``config.data``; no change waits for them, and a node that does not
answer is tried again, later and later, without holding up the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol

import trio
from attrs import define, field, frozen
from immutables import Map

from gantry.core.ssconf import ssconf_values
from gantry.daemons.wconfd.config_saver import Saved
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.protocols.errors import GantryError
from gantry.protocols.identity import Epoch, GroupUuid, NetworkUuid, NodeUuid
from gantry.protocols.noded import NodeD
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.records import Index
from gantry.runtime.environment import Run
from gantry.runtime.logs import Log

DEADLINE_SECONDS: Final = 30.0
"""A node that takes longer to store a copy counts as down."""

RETRY_SECONDS_FIRST: Final = 1.0
RETRY_SECONDS_MAX: Final = 60.0

PIECE_OBJECTS: Final = 1000
"""Looked at before others have their turn: about a millisecond's work."""

NODES_AT_ONCE: Final = 16
"""Nodes written to at the same time: more would need memory and be no faster."""

LOG: Final = Log("wconfd.distribution")


@frozen
class _Basis:
    """All that ssconf values are made of."""

    cluster: Cluster
    nodes: Map[NodeUuid, Node]
    nodegroups: Map[GroupUuid, NodeGroup]
    networks: Map[NetworkUuid, Network]
    instances: frozenset[str]
    """Their names: of large clusters this is what takes time, and seldom changes."""


async def _basis_of(configuration: Configuration) -> _Basis:
    names: set[str] = set()
    for number, instance in enumerate(configuration.instances.values()):
        names.add(instance.name)
        if number % PIECE_OBJECTS == 0:
            await trio.lowlevel.checkpoint()
    return _Basis(
        configuration.cluster,
        configuration.nodes,
        configuration.nodegroups,
        configuration.networks,
        frozenset(names),
    )


@frozen
class _Facts:
    """What every node is told."""

    nodes: frozenset[NodeUuid]
    ssconf: Mapping[str, str]


@frozen
class _Copy:
    """What the nodes should have."""

    epoch: Epoch
    index: Index
    configuration: Configuration
    facts: _Facts


@define
class _Delivered:
    """What one node has."""

    copy: _Copy | None = None
    facts: _Facts | None = None
    delay_seconds: float = RETRY_SECONDS_FIRST


class Nodes(Protocol):
    """The way to the nodes; see :class:`gantry.runtime.node_links.NodeLinks`."""

    async def ask_at(
        self, node: Node, question: Callable[[NodeD], Awaitable[None]], deadline_seconds: float
    ) -> None:
        """Call a method of a node."""


@define
class Distribution:
    """Brings the nodes up to date while :meth:`run` runs."""

    _config: ConfigStore
    _nodes: Nodes
    _offload: Run
    _basis: _Basis | None = field(default=None, init=False)
    _facts: _Facts = field(default=_Facts(frozenset(), {}), init=False)
    """Made of the basis."""
    _newest: _Copy | None = field(default=None, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)
    _attended: dict[NodeUuid, trio.CancelScope] = field(factory=dict, init=False)
    _reached: set[NodeUuid] = field(factory=set, init=False)
    """Who has a copy of this reign."""
    _arrived: trio.Event = field(factory=trio.Event, init=False)
    _room: trio.Semaphore = field(factory=lambda: trio.Semaphore(NODES_AT_ONCE), init=False)

    async def run(self) -> None:
        """Follow the rewrites of ``config.data`` until cancelled."""
        async with trio.open_nursery() as nursery:
            saved = self._config.saver.saved
            while saved.state.epoch < self._config.durable.epoch:
                saved = await self._config.saver.saved_after(saved)  # an earlier reign's is refused
            while True:
                self._newest = await self._copy_of(saved)
                self._attend(nursery, self._newest.configuration)
                self._news.set()
                self._news = trio.Event()
                saved = await self._config.saver.saved_after(saved)

    async def reached(self, uuid: NodeUuid) -> None:
        """Wait until a node has a copy of this reign."""
        while uuid not in self._reached:
            await self._arrived.wait()

    async def _copy_of(self, saved: Saved) -> _Copy:
        state, configuration = saved.state, saved.state.configuration
        basis = await _basis_of(configuration)
        if basis != self._basis:
            ssconf = await self._offload(partial(ssconf_values, configuration))
            self._facts = _Facts(frozenset(configuration.nodes), ssconf)
            self._basis = basis
        return _Copy(state.epoch, state.index, configuration, self._facts)

    def _attend(self, nursery: trio.Nursery, configuration: Configuration) -> None:
        """Begin with nodes that are new or back, and leave those that are gone."""
        wanted = {node.uuid for node in configuration.nodes.values() if not node.offline}
        for uuid in sorted(self._attended.keys() - wanted):
            self._attended.pop(uuid).cancel()
        for uuid in sorted(wanted - self._attended.keys()):
            scope = self._attended[uuid] = trio.CancelScope()
            nursery.start_soon(self._keep_up_to_date, uuid, scope)

    async def _keep_up_to_date(self, uuid: NodeUuid, scope: trio.CancelScope) -> None:
        delivered = _Delivered()
        with scope:
            while True:
                newest = self._newest
                if newest is None or newest is delivered.copy:
                    await self._news.wait()
                else:
                    await self._deliver(newest, newest.configuration.nodes[uuid], delivered)

    async def _deliver(self, copy: _Copy, node: Node, delivered: _Delivered) -> None:
        try:
            async with self._room:
                await _store(self._nodes, copy, node, delivered)
        except (GantryError, OSError) as error:
            delay = delivered.delay_seconds
            LOG.warning("no copy stored", node=node.name, reason=str(error), retry_seconds=delay)
            delivered.delay_seconds = min(2 * delay, RETRY_SECONDS_MAX)
            await trio.sleep(delay)
        else:
            delivered.copy, delivered.delay_seconds = copy, RETRY_SECONDS_FIRST
            self._reached.add(node.uuid)
            self._arrived.set()
            self._arrived = trio.Event()


async def _store(nodes: Nodes, copy: _Copy, node: Node, delivered: _Delivered) -> None:
    facts, serial = copy.facts, copy.configuration.serial_no
    if delivered.facts != facts:
        await nodes.ask_at(
            node,
            lambda noded: noded.store_ssconf(copy.epoch, serial, facts.nodes, facts.ssconf),
            DEADLINE_SECONDS,
        )
        delivered.facts = facts
