"""The cluster's address comes up on the node that leads, once it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import trio

from gantry.core.config.state import State
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.protocols.errors import GantryError, ServiceError
from gantry.protocols.noded import MasterAddress
from gantry.protocols.objects.node import Node
from gantry.protocols.replication import Replicas
from gantry.runtime.logs import Log

T = TypeVar("T")

DEADLINE_SECONDS: Final = 90.0
"""Above what NodeD gives a script."""

RETRY_SECONDS: Final = 10.0

LOG: Final = Log("wconfd.address")


class Links(Protocol):
    """The way to nodes; see :class:`gantry.runtime.node_links.NodeLinks`."""

    async def ask_replicas(
        self, node: Node, question: Callable[[Replicas], Awaitable[T]], deadline_seconds: float
    ) -> T:
        """Call a method of a node's replicas."""


async def hold_address(config: ConfigStore, links: Links) -> None:
    """Have this node's NodeD bring the cluster's address up; tries until it is.

    What keeps it down is said when it is new: it may be so for weeks.
    """
    said = ""
    while True:
        try:
            await _hold(config.durable, links)
        except (GantryError, ServiceError, OSError) as error:
            if str(error) != said:
                said = str(error)
                LOG.warning("the cluster's address is not up", reason=said)
            await trio.sleep(RETRY_SECONDS)
        else:
            return


async def _hold(state: State, links: Links) -> None:
    cluster = state.configuration.cluster
    address = MasterAddress.of(cluster)
    await links.ask_replicas(
        state.configuration.nodes[cluster.master_node],
        lambda replicas: replicas.hold_address(state.epoch, address),
        DEADLINE_SECONDS,
    )
