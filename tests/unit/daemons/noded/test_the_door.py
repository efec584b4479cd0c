"""The unix socket by which NodeD serves the master's daemons and jobs on its own node."""

from __future__ import annotations

import stat

import pytest
import trio
from tests.unit.daemons.noded.conftest import (
    DEADLINE_SECONDS,
    Machines,
    at_the_door,
    calling,
    running,
    ticket,
)

from gantry.protocols.errors import Forbidden
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import SOCKET_NAME
from gantry.protocols.objects.node import Node
from gantry.runtime.environment import Environment
from gantry.runtime.membership import own_certificate
from gantry.runtime.node_links import NodeLinks
from gantry.security.pem_files import CLIENT_PEM


async def test_what_is_done_at_the_door_is_known_at_the_gate(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env), at_the_door(env) as here, calling(env, env) as there:
        assert (await here.version()).node == "node1.gantry.test"
        await here.delay(ticket(1), 0.0)
        await there.delay(ticket(1), 0.0)
        assert (await here.progress(ticket(1).key, 0)) is None


async def test_a_node_that_is_no_candidate_may_only_ask_at_its_own_door(
    machines: Machines,
) -> None:
    master = await machines.founded()
    async with running(master):
        second = await machines.joined(2)
        async with running(second), at_the_door(second) as here:
            with pytest.raises(Forbidden, match="not that of a master candidate"):
                await here.delay(ticket(1), 0.0)
            assert (await here.version()).node == second.node


async def test_the_door_is_for_those_who_can_read_the_nodes_key(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env):
        door = env.paths.socket(SOCKET_NAME).stat()
        assert stat.S_IMODE(door.st_mode) == 0o660
        key = (env.paths.data / CLIENT_PEM).stat()
        assert (door.st_uid, door.st_gid) == (key.st_uid, key.st_gid)


async def test_a_call_ends_with_its_deadline_on_both_sides(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env), at_the_door(env) as here:
        with trio.move_on_after(0.05):
            await here.delay(ticket(1), 3600.0)
        while await here.progress(ticket(1).key, 0) is not None:
            await trio.lowlevel.checkpoint()


async def node_at(env: Environment, address: str) -> Node:
    """Return a machine as a node of the configuration."""
    own = await own_certificate(env)
    assert own is not None
    node = Node.__new__(Node)  # nothing else of it is looked at
    for name, value in (
        ("name", env.node),
        ("uuid", NodeUuid(own.common_name)),
        ("primary_ip", address),
    ):
        object.__setattr__(node, name, value)
    return node


@pytest.mark.parametrize("has_door", [True, False])
async def test_the_way_to_ones_own_node_is_through_its_door_if_it_has_one(
    machines: Machines, *, has_door: bool
) -> None:
    env = await machines.founded()
    address = "192.0.2.1" if has_door else await env.address()
    node = await node_at(env, address)

    async def find(_: NodeUuid) -> Node:
        raise AssertionError("it is known")

    async with running(env), NodeLinks.opened(env, find) as links:
        if not has_door:  # as of a NodeD that is older
            env.paths.socket(SOCKET_NAME).unlink()
        version = await links.ask_at(node, lambda n: n.version(), DEADLINE_SECONDS)
        assert version.node == env.node
