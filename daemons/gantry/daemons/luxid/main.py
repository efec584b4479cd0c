"""``gantry-luxid``: the master's front door, sole owner of the job queue.

LUXI clients, the queue, its processes and the configuration meet here: every part below knows
one thing; this module ties them together and decides nothing.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final, NoReturn

import trio
from attrs import frozen

from gantry.core.query.view import View
from gantry.core.queue.ended import ended_on_nodes
from gantry.core.queue.happenings import Rules
from gantry.core.queue.job_filters import JobFilters
from gantry.daemons.luxid.archive import Archive
from gantry.daemons.luxid.archive_exchange import ArchiveExchange
from gantry.daemons.luxid.at_work import AtWork
from gantry.daemons.luxid.calls import Parts
from gantry.daemons.luxid.connection import Caller, LuxiServer
from gantry.daemons.luxid.files import QueueFiles, take_over
from gantry.daemons.luxid.filter_calls import FilterCalls
from gantry.daemons.luxid.forgetting import Forgetting
from gantry.daemons.luxid.job_calls import JobCalls
from gantry.daemons.luxid.launcher import ForkServerLink, Launcher
from gantry.daemons.luxid.mirror import Mirror
from gantry.daemons.luxid.query_calls import QueryCalls
from gantry.daemons.luxid.standing import warnings
from gantry.daemons.luxid.store import QueueStore
from gantry.daemons.luxid.supervisor import Supervisor
from gantry.daemons.luxid.tidying import Tidying
from gantry.daemons.luxid.voting import Voting
from gantry.operations.registry import is_available
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import GantryError, OpExecError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.jobproc import FORK_SERVER_SOCKET
from gantry.protocols.luxi import GANETI_LINK, SOCKET_NAME, Luxi
from gantry.protocols.objects.node import Node
from gantry.protocols.queue_records import QueueRecord
from gantry.runtime import daemon
from gantry.runtime.daemon import EXIT_NOT_MASTER, Daemon, StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.leading import serve_figures
from gantry.runtime.logs import Log
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.nursery import only
from gantry.runtime.release import this_release
from gantry.runtime.replicated_log import Deposed

SOCKET_MODE: Final = 0o660

CONFIGURATION_SECONDS_MAX: Final = 10.0
"""LuxiD counts as ready once it knows the configuration; without WConfD it still has its jobs to
tell about, so it does not wait for ever."""

CONFIRMATION_SECONDS_MAX: Final = 30.0
"""Without a majority LuxiD serves after this time all the same: clients wait a minute for an
answer, and what needs no majority is answered."""

LOG: Final = Log("luxid")


@frozen
class Front(JobCalls, QueryCalls, FilterCalls):
    """All calls of LUXI, for one connection."""


async def main(env: Environment, launcher: Launcher | None = None) -> None:
    """Run LuxiD until cancelled.

    Args:
        env: the world.
        launcher: where processes for jobs come from; by default the node's fork server.
    """
    store, voting = await _open_queue(env)
    files = QueueFiles(env, lambda: store.committed)
    files.mark({*store.recent})
    store.before_snapshot = files.flush
    ways = launcher or ForkServerLink(env.files, env.paths.socket(FORK_SERVER_SOCKET))
    async with NodeLinks.opened(env, lambda uuid: _find_node(mirror, uuid)) as links:
        mirror = Mirror(env, lambda: supervisor.living(), lambda view: _follow(store, voting, view))
        forgetting = Forgetting(mirror, links)
        store.written = lambda records: _follow_records(files, forgetting, records)
        at_work = AtWork(store)
        supervisor = Supervisor(env, store, ways, mirror, at_work)
        store.act = supervisor.act
        if voting is not None:
            log = store.replicate(voting.me, voting.voters, voting.asking(links), voting.change)
            log.set_changed = lambda: _follow_voters(store, voting, mirror)
            log.may_go_alone = partial(voting.may_go_alone, env, log)
        archive = Archive(env)
        parts = Parts(
            env, store, at_work, supervisor, files, archive, mirror, links, this_release()
        )
        server = LuxiServer(
            lambda caller: _front(parts, caller), env.random.uuid(), lambda: warnings(store, mirror)
        )
        listener = await env.network.listen_unix(env.paths.socket(SOCKET_NAME), SOCKET_MODE)
        await _link(env)
        async with listener, trio.open_nursery() as nursery:
            await nursery.start(_run_queue, store)
            opened = trio.Event()
            nursery.start_soon(_serve, store, opened, server, listener)
            if store.is_new_reign:
                await store.begin_reign()
                files.mark({*store.head.entries})
            await nursery.start(supervisor.run)
            nursery.start_soon(mirror.run)
            nursery.start_soon(files.run)
            nursery.start_soon(_keep_archive_whole, store, archive, mirror, voting, links)
            nursery.start_soon(files.sweep, parts.archive)
            nursery.start_soon(Tidying(store, mirror, links).run)
            nursery.start_soon(_have_forgotten, store, forgetting)
            if store.log is not None:
                nursery.start_soon(serve_figures, env, store.log)
            await _begin_to_serve(env, store, mirror, opened)


async def _begin_to_serve(
    env: Environment, store: QueueStore, mirror: Mirror, opened: trio.Event
) -> None:
    with trio.move_on_after(CONFIGURATION_SECONDS_MAX):
        await mirror.named()
    opened.set()
    env.readiness.notify("READY=1")
    LOG.info("ready", jobs=len(store.head.entries), active=len(store.head.active))


async def _open_queue(env: Environment) -> tuple[QueueStore, Voting | None]:
    await env.files.make_folder(env.paths.queue)
    try:
        return await QueueStore.open(env, lambda: take_over(env)), await Voting.begin(env)
    except StartRefused:
        raise
    except (GantryError, Malformed, OSError) as error:
        raise StartRefused(f"the job queue can not be read: {error}") from error


async def _run_queue(
    store: QueueStore, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    try:
        await store.run(task_status)
    except BaseExceptionGroup as group:
        deposed, rest = group.split(Deposed)
        if deposed is None or rest is not None:
            raise
        raise StartRefused(str(only(deposed)), EXIT_NOT_MASTER) from group


async def _keep_archive_whole(
    store: QueueStore, archive: Archive, mirror: Mirror, voting: Voting | None, links: NodeLinks
) -> None:
    """Write the files of archived jobs that the log knows and this node, a new master, lacks.

    Then close the gaps that snapshots have left, here and on the other candidates.
    """
    if store.log is not None:
        await store.log.confirmed(math.inf)
    missing = [job for job in store.archived if not await archive.has(job.job.id)]
    try:
        await archive.put([job for job in missing if job.job.id not in store.committed.entries])
    except OSError as error:
        LOG.error("the archive is not complete", jobs=len(missing), reason=str(error))
    if store.log is not None and voting is not None:
        epoch = store.journal.epoch
        exchange = ArchiveExchange(store.env, epoch, links, lambda: voting.voters - {voting.me})
        store.log.snapshot_taken = exchange.see_to
        await mirror.named()  # it knows where the others are
        await exchange.run()


async def _serve(
    store: QueueStore,
    opened: trio.Event,
    server: LuxiServer,
    listener: trio.abc.Listener[trio.abc.Stream],
) -> None:
    """Serve clients when it is sure which jobs there are, or may not be for long.

    Those that found the socket meanwhile have waited: a restart refuses nobody. But without a
    majority they would wait for ever, and soon no other one could connect.
    """
    with trio.move_on_after(CONFIRMATION_SECONDS_MAX) as patience:
        await opened.wait()
        if store.log is not None:
            await store.log.confirmed(math.inf)
            await store.shown.passed()
    if patience.cancelled_caught:
        LOG.warning("too few voters answer: jobs are not told about yet")
    await server.serve(listener)


def _follow_records(
    files: QueueFiles, forgetting: Forgetting, records: tuple[QueueRecord, ...]
) -> None:
    files.follow(records)
    forgetting.follow(ended_on_nodes(records))


async def _have_forgotten(store: QueueStore, forgetting: Forgetting) -> None:
    """Have nodes forget jobs: those that ended just before the start, too, once that counts."""
    await store.shown.passed()
    forgetting.follow(store.ended)
    await forgetting.run()


def _front(parts: Parts, caller: Caller) -> Luxi:
    return Front(parts, caller)


def _follow_voters(store: QueueStore, voting: Voting, mirror: Mirror) -> None:
    """Go on to the newest set of voters when a change of the set is over, and tell WConfD."""
    settled = None if store.log is None else store.log.settled_voters
    if settled is not None:
        mirror.settle(settled)
    if mirror.view is not None:
        voting.follow(mirror.view, store)


def _follow(store: QueueStore, voting: Voting | None, view: View) -> None:
    if voting is not None:
        voting.follow(view, store)
    rules = _rules(view, store.rules)
    if rules != store.rules:
        store.follow(rules)


def _rules(view: View, before: Rules) -> Rules:
    """Return what the scheduler goes by; filter rules that are the same stay compiled."""
    filters = JobFilters.of(view.configuration.filters.values())
    running_max = view.configuration.cluster.max_running_jobs
    return Rules(
        running_max, is_available, before.filters if filters == before.filters else filters
    )


async def _find_node(mirror: Mirror, uuid: NodeUuid) -> Node:
    await trio.lowlevel.checkpoint()
    node = None if mirror.view is None else mirror.view.configuration.nodes.get(uuid)
    if node is None:
        raise OpExecError(f"there is no node {uuid}")
    return node


async def _link(env: Environment) -> None:
    """Put a link where Ganeti's clients look for the socket."""
    link = env.paths.run / GANETI_LINK
    await env.files.make_folder(link.parent)
    await env.files.link(link, env.paths.socket(SOCKET_NAME))


def run() -> NoReturn:
    """Run as a program."""
    daemon.run(Daemon("gantry-luxid", "luxi-daemon", main))


if __name__ == "__main__":
    run()
