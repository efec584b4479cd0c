"""Joining by token: once, in time, under the right name, to the right cluster."""

from __future__ import annotations

import stat
import time

import pytest
from attrs import evolve, frozen
from tests.unit.daemons.noded.conftest import CLUSTER, Machines, calling, running
from typing_extensions import override

from gantry.runtime.environment import Clock
from gantry.runtime.joining import CanNotJoin, issue_token, join_cluster
from gantry.security.certificates import Certificate
from gantry.security.join_token import BadToken, JoinToken
from gantry.security.pem_files import HMAC_KEY, SERVER_PEM


@frozen
class LateClock(Clock):
    """A clock that is ahead."""

    seconds: float

    @override
    def now(self) -> float:
        return time.time() + self.seconds


async def test_a_machine_joins_and_gets_all_it_needs(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        second = machines.machine(2)
        invitation = await issue_token(master, second.node, 60.0)
        joined = await join_cluster(second, invitation.text, None)
        assert (joined.cluster_name, joined.node) == (CLUSTER, second.node)
        data = second.paths.data
        assert (data / HMAC_KEY).read_bytes() == (master.paths.data / HMAC_KEY).read_bytes()
        assert (data / "ssconf_master_node").read_text() == "node1.gantry.test\n"
        assert not (data / "gantry-ca.key").exists()
        assert stat.S_IMODE((data / SERVER_PEM).stat().st_mode) == 0o440
        tokens = master.paths.data / "join-tokens.json"
        assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
        assert JoinToken.from_text(invitation.text).secret not in tokens.read_text()
        async with running(second), calling(master, second) as node:
            version = await node.version()
            own = Certificate.of_pem((data / SERVER_PEM).read_bytes())
            assert version.uuid == own.common_name
            assert version.certificate_digest == own.sha1


async def test_a_token_works_once(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        second = machines.machine(2)
        token = (await issue_token(master, second.node, 60.0)).text
        await join_cluster(second, token, None)
        (second.paths.data / SERVER_PEM).unlink()
        with pytest.raises(CanNotJoin, match="it was used already; ask the master for a new one"):
            await join_cluster(second, token, None)


async def test_an_expired_token_is_refused(machines: Machines) -> None:
    master = await machines.founded()
    second = machines.machine(2)
    async with running(master):
        token = (await issue_token(master, second.node, 60.0)).text
    async with running(evolve(master, clock=LateClock(61.0))):
        with pytest.raises(CanNotJoin, match="it has expired"):
            await join_cluster(second, token, None)
    assert not (second.paths.data / SERVER_PEM).exists()


async def test_a_token_is_for_one_name_and_the_newest_counts(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        old = (await issue_token(master, "node2.gantry.test", 60.0)).text
        new = (await issue_token(master, "node2.gantry.test", 60.0)).text
        with pytest.raises(CanNotJoin, match=r"is for node2.gantry.test, but .* is node3"):
            await join_cluster(machines.machine(3), new, None)
        with pytest.raises(CanNotJoin, match="did not issue it"):
            await join_cluster(machines.machine(2), old, None)
        forged = evolve(JoinToken.from_text(new), node="node3.gantry.test").to_text()
        with pytest.raises(CanNotJoin, match="it is for another node name"):
            await join_cluster(machines.machine(3), forged, None)


async def test_another_cluster_at_the_address_gets_no_secret(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        token = JoinToken.from_text((await issue_token(master, "node2.gantry.test", 60.0)).text)
    other = await Machines(machines.folder / "other", machines.subnet).founded()
    async with running(other):
        with pytest.raises(CanNotJoin, match="another fingerprint; nothing was sent"):
            await join_cluster(machines.machine(2), token.to_text(), None)


async def test_who_is_a_node_does_not_join_again(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        second = await machines.joined(2)
        token = (await issue_token(master, second.node, 60.0)).text
        with pytest.raises(CanNotJoin, match="is a node of a cluster already"):
            await join_cluster(second, token, None)


async def test_what_is_no_token_is_told_apart(machines: Machines) -> None:
    with pytest.raises(BadToken, match="begins with gantry-join-"):
        await join_cluster(machines.machine(2), "hello", None)


async def test_without_noded_no_token_is_issued(machines: Machines) -> None:
    master = await machines.founded()
    with pytest.raises(CanNotJoin, match="start gantry-noded"):
        await issue_token(master, "node2.gantry.test", 60.0)
    with pytest.raises(CanNotJoin, match="no node of a cluster"):
        await issue_token(machines.machine(2), "node2.gantry.test", 60.0)


async def test_a_token_lives_for_days_at_most(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        with pytest.raises(CanNotJoin, match="up to 7 days"):
            await issue_token(master, "node2.gantry.test", 1e9)
