"""MonD: measures its node and tells whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

import trio
from attrs import evolve

from gantry.daemons.mond.api import Api
from gantry.daemons.mond.collector import Collector, Running
from gantry.daemons.mond.cpu_load import CpuLoad
from gantry.daemons.mond.disk_stats import DiskStatistics
from gantry.daemons.mond.instance_status import InstanceStatus
from gantry.daemons.mond.metrics import Metrics
from gantry.daemons.mond.node_instances import AskedInstances
from gantry.daemons.mond.replication import Replication
from gantry.daemons.mond.settings import Settings
from gantry.protocols.mond import PORT, SERVER, CollectorSettings
from gantry.runtime.daemon import Daemon
from gantry.runtime.daemon import run as run_daemon
from gantry.runtime.descriptors import connections_max
from gantry.runtime.environment import Environment
from gantry.runtime.http.connection import ServerOptions
from gantry.runtime.http.limits import Limits
from gantry.runtime.http.server import HttpServer
from gantry.runtime.logs import Log

LOG: Final = Log("mond")

LIMITS: Final = Limits(body_bytes=0, write_seconds=20.0)
"""Nobody has anything to send."""


async def main(env: Environment) -> None:
    """Run MonD until cancelled.

    Raises:
        OSError: the port is taken.
    """
    port = PORT if env.options.port is None else env.options.port
    listener = await env.network.listen_tcp(await env.address(), port)
    settings = Settings(env)
    async with AskedInstances.opened(env) as instances, trio.open_nursery() as nursery:
        collectors: list[Collector] = [
            CpuLoad(env.files),
            DiskStatistics(env.files),
            InstanceStatus(env, instances),
        ]
        running = [Running(c, env.clock, _settings_of(settings, c)) for c in collectors]
        api = Api(running, Metrics(env.files, instances, running, Replication(env).families))
        limits = evolve(LIMITS, connections=connections_max(env.options.descriptors))
        server = HttpServer(api.handle, env.clock, env.random, ServerOptions(limits, SERVER))
        nursery.start_soon(settings.follow)
        for each in running:
            nursery.start_soon(each.run)
        await nursery.start(partial(server.serve, [listener]))
        LOG.info("serving", port=env.network.port_of(listener))
        env.readiness.notify("READY=1")


def _settings_of(settings: Settings, collector: Collector) -> Callable[[], CollectorSettings]:
    return lambda: settings.of(collector.info.name)


def run() -> NoReturn:
    """Run the daemon: the entry point."""
    run_daemon(Daemon("gantry-mond", "monitoring-daemon", main))
