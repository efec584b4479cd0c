"""``gantry-noded``: serves the NodeD protocol, and Join, over HTTPS with mutual TLS.

To the master's daemons and jobs on its own node it serves NodeD through a unix socket, too.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NoReturn

import trio

from gantry.daemons.noded.access import Access
from gantry.daemons.noded.archived_jobs import ArchiveService
from gantry.daemons.noded.belonging import Belonging, Removal
from gantry.daemons.noded.calls import KeyedCalls
from gantry.daemons.noded.checking import Checking
from gantry.daemons.noded.cluster_files import ClusterFiles
from gantry.daemons.noded.disks import Disks
from gantry.daemons.noded.guests import Guests
from gantry.daemons.noded.job_processes import end_job_processes
from gantry.daemons.noded.joining import JoinService
from gantry.daemons.noded.key_journal import KeyJournal
from gantry.daemons.noded.master_address import ClusterAddress
from gantry.daemons.noded.master_services import MasterServices, master_services
from gantry.daemons.noded.replicas import ReplicaService
from gantry.daemons.noded.service import NodeService
from gantry.drivers.scripts.hooks import Hooks
from gantry.drivers.scripts.os_definitions import OsDefinitions
from gantry.drivers.scripts.os_scripts import OsScripts
from gantry.drivers.scripts.restricted import RestrictedCommands
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import Forbidden
from gantry.protocols.identity import NodeUuid
from gantry.protocols.job_archive import JOB_ARCHIVE
from gantry.protocols.join import JOIN, OPEN_METHODS, OPEN_PATHS
from gantry.protocols.noded import NODED, PORT, SOCKET_NAME, StepFailed
from gantry.protocols.records import CorruptRecord
from gantry.protocols.replication import REPLICAS
from gantry.protocols.service import Method
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, Daemon, StartRefused
from gantry.runtime.daemon import run as run_daemon
from gantry.runtime.descriptors import connections_max
from gantry.runtime.environment import Environment
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.messages import Handler, Request, by_first_segment
from gantry.runtime.http.server import HttpServer
from gantry.runtime.http.service import certificate_required, http_handler
from gantry.runtime.journal import JournalGap
from gantry.runtime.logs import Log
from gantry.runtime.membership import own_certificate, set_cluster_aside
from gantry.runtime.rpc import serve
from gantry.security.certificates import Certificate
from gantry.security.pem_files import AUTHORITY_PEM, CLIENT_PEM, SERVER_PEM

DRAIN_SECONDS_MAX: Final = 10.0
"""For the answers of calls in flight when the node has left its cluster."""

DOOR_MODE: Final = 0o660
"""For root and whom the node's own key belongs to: who can read that may call anyway."""

LOG: Final = Log("noded")


async def main(env: Environment, services: MasterServices | None = None) -> None:
    """Serve until cancelled, or until the node has left its cluster.

    Args:
        env: the world.
        services: starts and stops the master daemons; by default what this node has for that.
    """
    own = await own_certificate(env)
    if own is None:
        raise StartRefused(
            f"{env.node} is no node of a cluster: make one with gnt-cluster init, "
            "or join one with gantry join",
            EXIT_NOT_CLUSTER,
        )
    files = ClusterFiles(env)
    services = services or master_services(env)
    belonging = Belonging(env, NodeUuid(own.common_name), files)
    await belonging.ask_first()
    if belonging.removed is None:
        await _serve(env, own, files, belonging, services)
    else:
        await _end_reign(env, services)
    if belonging.removed is not None:
        await _end_membership(env, belonging.removed)


async def _serve(
    env: Environment,
    own: Certificate,
    files: ClusterFiles,
    belonging: Belonging,
    services: MasterServices,
) -> None:
    """Serve until cancelled, or until the node is none any more, of its own or another's word."""
    keys = await _open_keys(env)
    port = PORT if env.options.port is None else env.options.port
    listener = await env.network.listen_tcp(await env.address(), port)
    port = env.network.port_of(listener)
    door = await env.network.listen_unix(
        env.paths.socket(SOCKET_NAME), DOOR_MODE, owned_as=env.paths.data / CLIENT_PEM
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(keys.run)
        async with trio.open_nursery() as calls:
            keyed = KeyedCalls(keys, calls)
            access = Access(own)
            access.ask_others = partial(belonging.confirms, access)
            await access.refresh(env.files, env.paths)
            replicas = await ReplicaService.of(env, files, services, keyed.see_epoch, access)
            await replicas.retire()
            calls.start_soon(replicas.run)
            service, handler = await _services(env, access, keyed, files, replicas, port)
            server = await _server(env, handler)
            await calls.start(partial(server.serve, [listener]))
            calls.start_soon(serve, NODED, service, door, access.authorize_here)
            LOG.info("ready", port=port, uuid=own.common_name, epoch=keys.book.epoch)
            env.readiness.notify("READY=1")
            calls.start_soon(_hear_of_removal, belonging, service.left)
            await service.left.wait()
            LOG.info("left the cluster")
            if belonging.removed is None:
                await server.drain(DRAIN_SECONDS_MAX)
            else:
                await replicas.end()
            calls.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    if belonging.removed is None:
        await keys.remove()


async def _hear_of_removal(belonging: Belonging, left: trio.Event) -> None:
    await belonging.until_removed()
    left.set()


async def _end_reign(env: Environment, services: MasterServices) -> None:
    """End what acts for a master here, as far as that can be done: nobody may be led from here."""
    try:
        await services.stop()
    except StepFailed as error:  # without the files that are put aside they end soon
        LOG.error("master daemons not stopped", reason=str(error))
    await end_job_processes(env)
    await ClusterAddress(env, Hooks(env)).let_go()


async def _end_membership(env: Environment, removal: Removal) -> NoReturn:
    """Put aside what made this machine a node: it was removed while it could not be told.

    Raises:
        StartRefused: always; the text says where everything is.
    """
    aside = env.paths.data / f"removed-{removal.since.epoch}-{removal.since.serial}"
    await set_cluster_aside(env.files, env.paths, aside)
    raise StartRefused(
        f"{env.node} was removed from its cluster while it was away, as {removal.told_by} says; "
        f"what made it a node is in {aside} now, and its guests, if any run, were left alone. "
        "To be a node again it has to join: gantry token on the master, gantry join here",
        EXIT_NOT_CLUSTER,
    )


async def _open_keys(env: Environment) -> KeyJournal:
    try:
        return await KeyJournal.open(env.files, env.paths.data)
    except (CorruptRecord, JournalGap, Malformed) as error:
        raise StartRefused(str(error)) from error


async def _services(
    env: Environment,
    access: Access,
    calls: KeyedCalls,
    files: ClusterFiles,
    replicas: ReplicaService,
    port: int,
) -> tuple[NodeService, Handler]:
    authority = await env.files.read(env.paths.data / AUTHORITY_PEM)
    guests, disks = Guests.of(env, await env.address()), await Disks.of(env)
    tls = await env.tls.client(authority, env.paths.data / SERVER_PEM)
    checking = Checking(env, guests, disks, tls, port)
    scripts, hooks = OsScripts(env, OsDefinitions(env)), Hooks(env)
    service = NodeService(
        env,
        access,
        calls,
        guests,
        disks,
        scripts,
        hooks,
        RestrictedCommands(env),
        files,
        checking,
        replicas,
    )

    async def may_join(request: Request, method: Method) -> Forbidden | None:
        if method.name in OPEN_METHODS:
            return None
        return await access.authorize_change(request, method)

    archive = ArchiveService(env, replicas.check)
    joining = JoinService(env, port, lambda: calls.epoch)
    return service, by_first_segment(
        {
            NODED.name: http_handler(NODED, service, access.authorize),
            REPLICAS.name: http_handler(REPLICAS, replicas, access.authorize_change),
            JOB_ARCHIVE.name: http_handler(JOB_ARCHIVE, archive, access.authorize_change),
            JOIN.name: http_handler(JOIN, joining, may_join),
        }
    )


async def _server(env: Environment, handler: Handler) -> HttpServer:
    data = env.paths.data
    authority = await env.files.read(data / AUTHORITY_PEM)
    tls = await env.tls.server(data / SERVER_PEM, "optional", authority)
    limits = Limits(connections_max(env.options.descriptors))
    options = ServerOptions(limits, check_head=certificate_required(OPEN_PATHS))
    return HttpServer(handler, env.clock, env.random, options, tls)


def run() -> NoReturn:
    """Run the daemon: the entry point."""
    run_daemon(Daemon("gantry-noded", "node-daemon", main))
