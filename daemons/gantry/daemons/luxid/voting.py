"""Who votes on the queue's stream, and the way to them.

The configuration says who votes. A starting LuxiD takes it from ``config.data``, so that it can
begin before WConfD answers, and follows WConfD from then on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from attrs import define

from gantry.core.query.view import View
from gantry.core.replication.quorum import voters_of
from gantry.daemons.luxid.store import QueueStore
from gantry.protocols.codec import from_bytes
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.configuration import load_configuration
from gantry.protocols.objects.node import Node
from gantry.protocols.replication import AppendAnswer, Replicas
from gantry.runtime.allegiance import read_allegiance
from gantry.runtime.environment import Environment
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.replicated_log import AskVoter


@define
class Voting:
    """The voters as LuxiD knows them. Made by :meth:`begin`."""

    me: NodeUuid
    voters: frozenset[NodeUuid]
    _nodes: Mapping[NodeUuid, Node]

    @classmethod
    async def begin(cls, env: Environment) -> Voting | None:
        """Read who votes; ``None`` where there is no configuration that names this node.

        Raises:
            gantry.protocols.codec.Malformed: the configuration is damaged.
        """
        try:
            raw = await env.files.read(env.paths.config)
        except FileNotFoundError:
            return None
        configuration = await env.offload(lambda: load_configuration(from_bytes(raw)))
        for node in configuration.nodes.values():
            if node.name == env.node:
                allegiance = await read_allegiance(env.files, env.paths)
                forced = allegiance.voters  # only as long as the configuration does not say it
                known = voters_of(configuration) if forced is None else frozenset(forced)
                voters = known | {node.uuid}
                return cls(node.uuid, voters, configuration.nodes)
        return None

    def asking(self, links: NodeLinks) -> AskVoter:
        """Return the way to the voters."""

        async def ask(
            voter: NodeUuid,
            question: Callable[[Replicas], Awaitable[AppendAnswer]],
            deadline_seconds: float,
        ) -> AppendAnswer:
            node = self._nodes.get(voter)
            if node is None:
                raise ConnectionLost(f"there is no node {voter}")
            return await links.ask_replicas(node, question, deadline_seconds)

        return ask

    def follow(self, view: View, store: QueueStore) -> None:
        """Take over the nodes of a new configuration, and who of them votes."""
        self._nodes = view.configuration.nodes
        self.voters = voters_of(view.configuration) | {self.me}
        log = store.log
        if log is not None and log.set_is_settled and log.leader.voters != self.voters:
            log.set_voters(self.voters)
