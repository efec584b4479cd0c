"""Who votes on the queue's stream, and the way to them.

The configuration says who votes. A starting LuxiD takes it from the configuration's files, so that
it can begin before WConfD answers, and follows WConfD from then on, which waits before the voters
change again until it has heard that the queue's stream has followed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from attrs import define

from gantry.core.query.view import View
from gantry.core.replication.leader import VoterChange
from gantry.core.replication.quorum import voters_of
from gantry.daemons.luxid.store import QueueStore
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.node import Node
from gantry.protocols.records import CorruptRecord
from gantry.protocols.replication import AppendAnswer, Replicas
from gantry.runtime.allegiance import Allegiance, read_allegiance
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log
from gantry.runtime.newest_configuration import Newest, read_newest
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.replicated_log import AskVoter, ReplicatedLog

LOG: Final = Log("luxid.voting")


@define
class Voting:
    """The voters as LuxiD knows them. Made by :meth:`begin`."""

    me: NodeUuid
    voters: frozenset[NodeUuid]
    change: VoterChange | None
    """The newest set may not count yet: until WConfD says so both are asked."""
    _nodes: Mapping[NodeUuid, Node]

    @classmethod
    async def begin(cls, env: Environment) -> Voting | None:
        """Read who votes; ``None`` where there is no configuration that names this node.

        Raises:
            gantry.protocols.codec.Malformed: the configuration is damaged.
            gantry.protocols.records.CorruptRecord: its log is.
        """
        try:
            newest = await read_newest(env)
        except FileNotFoundError:
            return None
        for node in newest.configuration.nodes.values():
            if node.name == env.node:
                known = _forced(await read_allegiance(env.files, env.paths), newest)
                voters = known or voters_of(newest.configuration)
                change = None if known else _change(newest)
                return cls(node.uuid, voters | {node.uuid}, change, newest.configuration.nodes)
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

    async def may_go_alone(self, env: Environment, log: ReplicatedLog) -> bool:
        """Whether nobody votes by now of whom this stream has not heard yet.

        WConfD adds no voter after it is stored that LuxiD goes on alone; before that it may have.
        """
        try:
            newest = await read_newest(env)
        except (OSError, Malformed, CorruptRecord) as error:
            LOG.error("not known who votes", reason=str(error))
            return False
        return voters_of(newest.configuration) <= log.leader.electorate

    def follow(self, view: View, store: QueueStore) -> None:
        """Take over the nodes of a new configuration, and who of them votes."""
        self._nodes = view.configuration.nodes
        self.voters = voters_of(view.configuration) | {self.me}
        if store.log is not None:
            store.log.follow_voters(self.voters)


def _change(newest: Newest) -> VoterChange | None:
    return None if newest.change is None else VoterChange(None, newest.change.old)


def _forced(allegiance: Allegiance, newest: Newest) -> frozenset[NodeUuid] | None:
    """Return who votes in a reign without a majority, until the configuration says it."""
    if allegiance.voters is None or allegiance.reign <= newest.epoch:
        return None
    return frozenset(allegiance.voters)
