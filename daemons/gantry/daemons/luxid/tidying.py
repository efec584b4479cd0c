"""Clean-up jobs: submitted as soon as a node answers on which something was left over.

LuxiD looks only while there are left-overs, and asks only the nodes that have some.
"""

from __future__ import annotations

from typing import Final

import trio
from attrs import define, field

from gantry.core.query.view import View
from gantry.core.queue.happenings import Submit
from gantry.daemons.luxid.mirror import Mirror
from gantry.daemons.luxid.store import QueueStore
from gantry.protocols.errors import ConnectionLost, GenericError, ServiceError
from gantry.protocols.identity import LeftoverUuid, NodeUuid
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.node import OpNodeCleanUp
from gantry.runtime.logs import Log
from gantry.runtime.node_links import NodeLinks

LOOK_SECONDS: Final = 5.0
"""How soon it is noticed that a node is back."""

ANSWER_SECONDS_MAX: Final = 5.0
"""A node that takes longer to say its version is not back yet."""

AGAIN_SECONDS: Final = 300.0
"""When a node is cleaned up again whose clean-up job could not do it."""

REASON: Final = "gnt:daemon:luxid:cleanup"

LOG: Final = Log("luxid.tidying")


@define
class Tidying:
    """Has nodes cleaned up. :meth:`run` runs as long as LuxiD does."""

    store: QueueStore
    mirror: Mirror
    links: NodeLinks
    _seen_to: dict[LeftoverUuid, float] = field(factory=dict, init=False)
    """When the last job for a left-over was submitted, on trio's clock."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            view = self.mirror.view
            if view is None or not view.configuration.leftovers or not self.store.has_lease:
                continue
            async with trio.open_nursery() as nursery:
                for node, due in self._due(view).items():
                    nursery.start_soon(self._see_to, view.configuration.nodes[node], due)

    def _due(self, view: View) -> dict[NodeUuid, list[LeftoverUuid]]:
        """Return the left-overs that are not seen to already, by their nodes."""
        configuration, due = view.configuration, dict[NodeUuid, list[LeftoverUuid]]()
        last = trio.current_time() - AGAIN_SECONDS
        for left in configuration.leftovers.values():
            node = configuration.nodes.get(left.node)
            if node is not None and not node.offline and self._seen_to.get(left.uuid, last) <= last:
                due.setdefault(left.node, []).append(left.uuid)
        return due

    async def _see_to(self, node: Node, due: list[LeftoverUuid]) -> None:
        try:
            await self.links.ask_at(node, lambda n: n.version(), ANSWER_SECONDS_MAX)
        except (ConnectionLost, ServiceError, OSError):
            return
        nanoseconds = int(self.store.env.clock.now() * 1e9)
        opcode = OpNodeCleanUp(node_name=node.name, reason=((REASON, "left-over", nanoseconds),))
        event = Submit(((opcode,),), self.store.now(), though_drained=True)
        try:
            answer = await self.store.do(event)
        except GenericError as error:
            LOG.error("no clean-up job", node=node.name, reason=str(error))
            return
        self._seen_to |= dict.fromkeys(due, trio.current_time())
        LOG.info("cleaned up after jobs", node=node.name, answer=str(answer))
