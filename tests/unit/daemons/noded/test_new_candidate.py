"""A node that was away while another one became a candidate, and the master, hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from attrs import frozen
from tests.unit.daemons.noded.conftest import Machines, calling, running

from gantry.protocols.errors import Forbidden
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.runtime.environment import Environment
from gantry.security.certificates import Certificate
from gantry.security.pem_files import SERVER_PEM


def certificate_of(env: Environment) -> Certificate:
    return Certificate.of_pem((env.paths.data / SERVER_PEM).read_bytes())


@frozen
class Cluster:
    """Three nodes; all but the one that is away run."""

    master: Environment
    new: Environment
    away: Environment
    addresses: str

    async def tell(
        self, caller: Environment, called: Environment, who: Sequence[Environment], serial: int
    ) -> None:
        """Store on a node who the candidates are, as of a configuration's serial number."""
        certificates = [certificate_of(each) for each in who]
        nodes = (self.master, self.new, self.away)
        uuids = frozenset(NodeUuid(certificate_of(each).common_name) for each in nodes)
        values = {
            "node_primary_ips": self.addresses,
            "master_candidates": "\n".join(each.node for each in who),
            "master_candidates_certs": "\n".join(
                f"{each.common_name}={each.sha1}" for each in certificates
            ),
        }
        async with calling(caller, called) as noded:
            await noded.store_ssconf(Epoch(1), serial, uuids, values)


@asynccontextmanager
async def three(machines: Machines) -> AsyncIterator[Cluster]:
    """Yield a cluster whose third node knows only the first one as a candidate."""
    master = await machines.founded()
    async with running(master):
        new, away = await machines.joined(2), await machines.joined(3)
        pairs = [f"{each.node} {await each.address()}" for each in (master, new, away)]
        cluster = Cluster(master, new, away, "\n".join(pairs))
        await cluster.tell(master, master, [master], 50)
        async with running(away):
            await cluster.tell(master, away, [master], 50)
            yield cluster


async def test_a_candidate_that_others_know_is_believed(machines: Machines) -> None:
    async with three(machines) as cluster:
        await cluster.tell(cluster.master, cluster.master, [cluster.master, cluster.new], 60)
        await cluster.tell(cluster.new, cluster.away, [cluster.master, cluster.new], 61)
        await cluster.tell(cluster.new, cluster.away, [cluster.new], 62)  # it knows it now


async def test_one_that_nobody_knows_is_refused(machines: Machines) -> None:
    async with three(machines) as cluster:
        await cluster.tell(cluster.master, cluster.master, [cluster.master], 60)
        with pytest.raises(Forbidden):
            await cluster.tell(cluster.new, cluster.away, [cluster.new], 61)


async def test_who_knows_nothing_newer_is_not_believed(machines: Machines) -> None:
    async with three(machines) as cluster:
        await cluster.tell(cluster.master, cluster.away, [cluster.master], 70)
        await cluster.tell(cluster.master, cluster.master, [cluster.master, cluster.new], 60)
        with pytest.raises(Forbidden):
            await cluster.tell(cluster.new, cluster.away, [cluster.new], 71)
