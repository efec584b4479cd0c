"""``gantry-electd``: promotes this candidate when etcd says that the master's office is vacant.

Optional: it runs where ``/etc/ganeti/election.json`` names etcd, on every master candidate.
Without it nothing elects.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NoReturn

from gantry.core.election import Standing
from gantry.daemons.electd.campaign import LOOKS_PER_LEASE, Elections
from gantry.daemons.electd.etcd import Office
from gantry.daemons.electd.node import OwnNode
from gantry.daemons.electd.settings import read_settings
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, Daemon, StartRefused
from gantry.runtime.daemon import run as run_daemon
from gantry.runtime.environment import Environment
from gantry.runtime.failover import fail_over
from gantry.runtime.logs import Log

LOG: Final = Log("electd")


async def main(env: Environment) -> None:
    """Take part in elections until cancelled.

    Raises:
        StartRefused: no etcd is configured here, or the node belongs to no cluster.
    """
    settings, here = await read_settings(env), OwnNode(env)
    cluster = await here.cluster_name()
    if not cluster:
        raise StartRefused(f"{env.node} is no node of a cluster yet", EXIT_NOT_CLUSTER)
    office = Office(env, settings, f"/gantry/{cluster}/master", env.node)
    elections = Elections(
        office,
        here,
        # Whoever can not be promoted gives the office back, so that others try.
        partial(fail_over, env, LOG.info, forced=False, patience_seconds=0.0),
        Standing(env.node),
        settings.lease_seconds / LOOKS_PER_LEASE,
    )
    env.readiness.notify("READY=1")
    try:
        await elections.run()
    finally:
        await office.aclose()


def run() -> NoReturn:
    """Run the daemon: the entry point."""
    run_daemon(Daemon("gantry-electd", "election-daemon", main))
