"""WConfD: sole owner of the cluster's configuration and locks. Runs on the master."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio

from gantry.daemons.wconfd.address import hold_address
from gantry.daemons.wconfd.config_store import ConfigStore
from gantry.daemons.wconfd.distribution import Distribution
from gantry.daemons.wconfd.lock_store import LockStore
from gantry.daemons.wconfd.server import WConfDServer
from gantry.protocols.codec import Malformed
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.node import Node
from gantry.protocols.records import CorruptRecord
from gantry.protocols.replication import AppendAnswer, Replicas
from gantry.protocols.wconfd import GANETI_LINK, SOCKET_NAME, WCONFD
from gantry.runtime.collecting import collecting_later
from gantry.runtime.daemon import EXIT_NOT_MASTER, Daemon, StartRefused, run
from gantry.runtime.environment import Environment
from gantry.runtime.journal import JournalGap
from gantry.runtime.leading import serve_figures
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.replicated_log import Deposed, ReplicatedLog
from gantry.runtime.rpc import serve

SOCKET_MODE: Final = 0o600

OWN_COPY_SECONDS_MAX: Final = 5.0
"""A new master is ready when its own ssconf files name it, as whoever asks the node will find. A
NodeD that is away gets them later."""


async def main(env: Environment) -> None:
    """Serve until cancelled; then write ``config.data`` and ``locks.data`` a last time.

    Raises:
        StartRefused: there is no cluster on this node, it is not the master, or a file is
            damaged: the text says what to do.
    """
    try:
        with collecting_later():
            config = await ConfigStore.open(env)
            held = await LockStore.open(env, config.journal.epoch)
    except (CorruptRecord, JournalGap, Malformed) as error:
        raise StartRefused(str(error)) from error
    path = env.paths.socket(SOCKET_NAME)
    listener = await env.network.listen_unix(path, SOCKET_MODE)
    link = env.paths.run / GANETI_LINK
    await env.files.make_folder(link.parent)
    await env.files.link(link, path)

    async def find(uuid: NodeUuid) -> Node:
        """Look a node up for :class:`NodeLinks`, which is only ever asked for known ones."""
        await trio.lowlevel.checkpoint()
        return config.durable.configuration.nodes[uuid]

    async with (
        config.journal.running(),
        held.journal.running(),
        NodeLinks.opened(env, find) as nodes,
        trio.open_nursery() as nursery,
    ):

        async def ask(
            voter: NodeUuid,
            question: Callable[[Replicas], Awaitable[AppendAnswer]],
            deadline_seconds: float,
        ) -> AppendAnswer:
            return await nodes.ask_replicas(config.voter(voter), question, deadline_seconds)

        log = config.replicate(ask)
        await nursery.start(_replicate, log)
        nursery.start_soon(serve_figures, env, log)
        nursery.start_soon(config.saver.keep_saving)
        config.mark()
        nursery.start_soon(config.marks.run)
        crowned = await config.begin_reign()
        nursery.start_soon(held.keep_short)
        distribution = Distribution(config, nodes, env.offload)
        nursery.start_soon(distribution.run)
        nursery.start_soon(hold_address, config, nodes)
        if crowned is not None:
            with trio.move_on_after(OWN_COPY_SECONDS_MAX):
                await distribution.reached(crowned)
        env.readiness.notify("READY=1")
        await serve(WCONFD, WConfDServer(config, held), listener)


async def _replicate(
    log: ReplicatedLog, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    try:
        await log.run(task_status)
    except Deposed as error:
        raise StartRefused(str(error), EXIT_NOT_MASTER) from error


def entry() -> NoReturn:
    """Run the daemon: ``gantry-wconfd``."""
    run(Daemon("gantry-wconfd", "wconf-daemon", main))
