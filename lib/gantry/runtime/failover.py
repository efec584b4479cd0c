"""``gnt-cluster master-failover``: this node becomes the master.

Nothing elects: a person, or an engine that they trust, gives the command on the node that is to
lead. See ``doc/design/replication.md``, "Promotion".
"""

from __future__ import annotations

from typing import Final

import trio
from attrs import define

from gantry.protocols.errors import ConnectionLost, ServiceError
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.objects.node import Node
from gantry.protocols.records import CorruptRecord
from gantry.runtime.allegiance import read_allegiance
from gantry.runtime.environment import Environment
from gantry.runtime.newest_configuration import Newest, read_newest
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.promotion import (
    FIRST_ASK_SECONDS_MAX,
    NotYet,
    Promotion,
    PromotionRefused,
    Say,
)

PATIENCE_SECONDS: Final = 300.0
"""A promotion that has begun is tried again for so long: a node that restarts is back by then."""

AGAIN_SECONDS: Final = 5.0


async def _newest_configuration(env: Environment) -> Newest:
    """Return the configuration as the end of this node's log has it, committed or not.

    Raises:
        PromotionRefused: there is none here, or its log is damaged.
        gantry.protocols.codec.Malformed: it is damaged.
    """
    try:
        return await read_newest(env)
    except FileNotFoundError:
        raise PromotionRefused(
            f"{env.node} has no replica of the configuration; only a master candidate can "
            "become the master"
        ) from None
    except CorruptRecord as error:
        raise PromotionRefused(str(error)) from error


async def force_quorum(env: Environment, say: Say, lost: str) -> None:
    """Go on as the master without the voters that are silent: they become offline.

    Args:
        env: the master's.
        say: told what happens.
        lost: a node that is surely gone, by its name or the beginning of it.

    Raises:
        PromotionRefused: this is not the master, or the lost node is none or answers.
    """
    newest = await _newest_configuration(env)
    configuration = newest.configuration
    nodes = configuration.nodes
    if nodes[configuration.cluster.master_node].name != env.node:
        raise PromotionRefused(f"{env.node} is not the master; give the command there")
    named = [n for n in nodes.values() if n.name == lost or n.name.startswith(f"{lost}.")]
    if len(named) != 1 or named[0].name == env.node:
        raise PromotionRefused(f"there is no other node {lost} in the cluster")

    async def find(uuid: NodeUuid) -> Node:
        await trio.lowlevel.checkpoint()
        return nodes[uuid]

    async with NodeLinks.opened(env, find) as links:
        try:
            await links.ask_replicas(
                named[0], lambda r: r.replica_state("config"), FIRST_ASK_SECONDS_MAX
            )
        except (ConnectionLost, ServiceError, OSError):
            pass
        else:
            raise PromotionRefused(
                f"{named[0].name} answers: mark it offline without --force-quorum, or stop it first"
            )
        me = configuration.cluster.master_node
        await Promotion(env, links, say, newest, me, forced=True).run()


async def fail_over(
    env: Environment, say: Say, *, forced: bool, patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Make this node the master.

    A single promise ends the reign that is. So what has begun and can not go on just now is tried
    again for ``patience_seconds``, but for whoever lets other candidates try instead.

    Raises:
        PromotionRefused: it can not be; the text says why and what to do.
    """
    until = trio.current_time() + patience_seconds
    attempts = _Attempts(env, say, forced)
    while True:
        try:
            return await attempts.once()
        except (NotYet, OSError) as error:
            if attempts.begun is None:
                raise
            if trio.current_time() + AGAIN_SECONDS > until:
                raise PromotionRefused(
                    f"{error}. Some have promised already, so the old master ends when it hears of "
                    "that: give the command again, here or elsewhere, until there is a master"
                ) from error
            say(f"{error}. The old reign may be over already: trying again.")
        await trio.sleep(AGAIN_SECONDS)


@define
class _Attempts:
    """To make this node the master, until one comes to its end."""

    _env: Environment
    _say: Say
    _forced: bool
    begun: Epoch | None = None
    """See :class:`gantry.runtime.promotion.Promotion`."""

    async def once(self) -> None:
        newest = await _newest_configuration(self._env)
        configuration = newest.configuration
        here = next((n for n in configuration.nodes.values() if n.name == self._env.node), None)
        if here is None or not here.master_candidate:
            raise PromotionRefused(
                f"{self._env.node} is no master candidate; give the command on one"
            )
        allegiance = await read_allegiance(self._env.files, self._env.paths)
        is_master = configuration.cluster.master_node == here.uuid and allegiance.may_lead

        async def find(uuid: NodeUuid) -> Node:
            await trio.lowlevel.checkpoint()
            return configuration.nodes[uuid]

        async with NodeLinks.opened(self._env, find) as links:
            promotion = Promotion(
                self._env, links, self._say, newest, here.uuid, self._forced, self.begun
            )
            if is_master and not self._forced and not await promotion.is_over(allegiance.promised):
                if self.begun is not None:  # only the answer was lost
                    return
                raise PromotionRefused(f"{self._env.node} is the master already")
            try:
                await promotion.run()
            finally:
                self.begun = promotion.begun
