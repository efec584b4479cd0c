"""Nodes forget the keys of jobs that are over: they are told of many at a time, a moment behind.

Nobody waits for it: what a node remembers too long does no harm. What could not be told is told
again later; after a restart the journal says once more which jobs have ended since its snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import trio
from attrs import define, field

from gantry.daemons.luxid.mirror import Mirror
from gantry.protocols.errors import ConnectionLost, GantryError, ServiceError
from gantry.protocols.identity import JobId, NodeUuid
from gantry.runtime.logs import Log
from gantry.runtime.node_links import NodeLinks

BEHIND_SECONDS: Final = 1.0
"""How long jobs that are over are gathered."""

AGAIN_SECONDS: Final = 30.0
"""When a node that did not answer is told again."""

ANSWER_SECONDS_MAX: Final = 5.0
"""All that is asked for is a flush."""

JOBS_MAX: Final = 10_000
"""Kept for a node that is away; of more the older half is dropped, and remembered there."""

LOG: Final = Log("luxid.forgetting")


@define
class Forgetting:
    """Has nodes forget. :meth:`run` runs as long as LuxiD does."""

    mirror: Mirror
    links: NodeLinks
    _due: dict[NodeUuid, set[JobId]] = field(factory=dict, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)

    def follow(self, ended: Mapping[NodeUuid, Iterable[JobId]]) -> None:
        """Note which jobs have ended, by the nodes that may remember them; that is committed."""
        for node, jobs in ended.items():
            self._keep(node, jobs)
        if ended:
            self._news.set()

    def _keep(self, node: NodeUuid, jobs: Iterable[JobId]) -> None:
        due = self._due.setdefault(node, set())
        due.update(jobs)
        if len(due) > JOBS_MAX:
            self._due[node] = {*sorted(due)[len(due) // 2 :]}

    async def run(self) -> None:
        """Tell the nodes, until cancelled."""
        while True:
            with trio.move_on_after(AGAIN_SECONDS if self._due else math.inf):
                await self._news.wait()
            await trio.sleep(BEHIND_SECONDS)
            self._news = trio.Event()
            due, self._due = self._due, {}
            async with trio.open_nursery() as nursery:
                for node, jobs in due.items():
                    nursery.start_soon(self._tell, node, jobs)

    async def _tell(self, uuid: NodeUuid, jobs: set[JobId]) -> None:
        view = self.mirror.view
        if view is None:
            self._keep(uuid, jobs)
            return
        node = view.configuration.nodes.get(uuid)
        if node is None:  # it has left the cluster, and forgets everything
            return
        told = tuple(sorted(jobs))
        try:
            await self.links.ask_at(node, lambda n: n.forget_keys(told), ANSWER_SECONDS_MAX)
        except (ConnectionLost, ServiceError, GantryError, OSError) as error:
            LOG.debug("not told", node=node.name, jobs=len(jobs), reason=str(error))
            self._keep(uuid, jobs)
