"""RapiD: the remote API over HTTPS, for clients made for Ganeti's."""

from __future__ import annotations

import ssl
from functools import partial
from typing import Final, NoReturn

import trio
from attrs import evolve

from gantry.core.ssconf import RELEASE
from gantry.daemons.rapid.access import Users
from gantry.daemons.rapid.api import Api
from gantry.protocols.luxi import SOCKET_NAME
from gantry.protocols.rapi import PORT
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, Daemon, StartRefused
from gantry.runtime.daemon import run as run_daemon
from gantry.runtime.descriptors import connections_max
from gantry.runtime.environment import Environment
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.server import HttpServer
from gantry.runtime.logs import Log
from gantry.runtime.luxi_client import LuxiClient
from gantry.security.pem_files import RAPI_PEM

LOG: Final = Log("rapid")

SERVER: Final = f"Ganeti {RELEASE}"
"""The ``Server`` header, by which clients tell what they can expect."""

LIMITS: Final = Limits(body_bytes=16 * 1024 * 1024)
"""The largest request that makes sense creates some thousand instances at once."""

ADDRESS_RETRY_SECONDS: Final = 2.0
"""The cluster's address comes up once WConfD leads, or when somebody activates it."""

AUTHENTICATE_VARIABLE: Final = "GANTRY_RAPI_REQUIRE_AUTHENTICATION"
"""Set to 1 it does what Ganeti's option ``--require-authentication`` does."""


async def main(env: Environment) -> None:
    """Serve until cancelled.

    Raises:
        StartRefused: the node has no certificate for it.
        OSError: the port is taken.
    """
    tls = await _tls(env)
    port = PORT if env.options.port is None else env.options.port
    listener = await env.network.listen_tcp(await env.address(), port)
    users = Users(env)
    always = env.variables.get(AUTHENTICATE_VARIABLE) == "1"
    async with (
        LuxiClient(env.network, env.paths.socket(SOCKET_NAME)) as client,
        trio.open_nursery() as nursery,
    ):
        api = Api(client.luxi, users, env.clock, always)
        limits = evolve(LIMITS, connections=connections_max(env.options.descriptors))
        options = ServerOptions(limits, SERVER, keep_alive=False, check_head=api.check_head)
        server = HttpServer(api.handle, env.clock, env.random, options, tls)
        await nursery.start(users.follow)
        await nursery.start(partial(server.serve, [listener]))
        if env.options.bind is None:
            nursery.start_soon(_serve_cluster_address, env, server, port)
        LOG.info("serving", port=env.network.port_of(listener))
        env.readiness.notify("READY=1")


async def _serve_cluster_address(env: Environment, server: HttpServer, port: int) -> None:
    """Serve on the cluster's address too, as soon as it is up on this node."""
    while True:
        address = await _cluster_address(env)
        if address is None or address == await env.address():
            return
        try:
            listener = await env.network.listen_tcp(address, port)
        except OSError as error:
            LOG.debug("not on the cluster's address yet", address=address, reason=str(error))
            await trio.sleep(ADDRESS_RETRY_SECONDS)
            continue
        LOG.info("serving on the cluster's address", address=address)
        async with listener:
            await trio.serve_listeners(server.serve_stream, [listener])


async def _cluster_address(env: Environment) -> str | None:
    try:
        text = await env.files.read(env.paths.data / "ssconf_master_ip")
    except FileNotFoundError:
        return None
    return text.decode(errors="replace").strip() or None


async def _tls(env: Environment) -> ssl.SSLContext:
    path = env.paths.data / RAPI_PEM
    try:
        return await env.tls.server(path, "none")
    except FileNotFoundError:
        text = f"{path} is missing: RapiD runs on the master of a cluster"
        raise StartRefused(text, EXIT_NOT_CLUSTER) from None
    except (OSError, ssl.SSLError) as error:
        raise StartRefused(f"{path} can not be used: {error}") from error


def run() -> NoReturn:
    """Run the daemon: the entry point."""
    run_daemon(Daemon("gantry-rapid", "rapi-daemon", main))
