"""What a job reads of the configuration it reads once, unless that may have changed since."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import define, field
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.twin_cluster import TwinLink, TwinWConfD, sample_state
from typing_extensions import override

from gantry.daemons.job.world import JobWorld
from gantry.protocols.identity import Attempt, JobId, NodeUuid
from gantry.protocols.locks import LockOwner
from gantry.protocols.objects.node import Node
from gantry.protocols.records import Index
from gantry.protocols.wconfd import ConfigPart, Selection
from gantry.runtime.node_links import NodeLinks

NODES = Selection(nodes="all")
GROUPS = Selection(groups="all")


@define
class CountingWConfD(TwinWConfD):
    """Notes what is read."""

    read_so_far: list[Selection] = field(factory=list)

    @override
    async def read(self, selection: Selection) -> ConfigPart:
        self.read_so_far.append(selection)
        return await TwinWConfD.read(self, selection)


async def not_looked_up(uuid: NodeUuid) -> Node:
    raise AssertionError(uuid)


@pytest.fixture
def wconfd() -> CountingWConfD:
    return CountingWConfD(sample_state())


@pytest.fixture
def world(wconfd: CountingWConfD, tmp_path: Path) -> JobWorld:
    env, owner = JobBench(tmp_path).environment(), LockOwner(JobId(1), Attempt(1))
    return JobWorld(env, owner, TwinLink(wconfd), NodeLinks(env, not_looked_up), print)


async def test_what_has_not_changed_when_the_locks_came_is_not_read_again(
    world: JobWorld, wconfd: CountingWConfD
) -> None:
    part = await world.read(NODES)
    world.locked_at(part.index)
    assert await world.read(NODES) is part
    await world.read(GROUPS)
    assert wconfd.read_so_far == [NODES, GROUPS]


async def test_what_may_have_changed_is_read_again_and_then_stands(
    world: JobWorld, wconfd: CountingWConfD
) -> None:
    part = await world.read(NODES)
    world.locked_at(Index(part.index + 1))
    assert await world.read(NODES) is await world.read(NODES)
    world.locked_at(None)  # released, or granted by a WConfD that does not say
    await world.read(NODES)
    assert wconfd.read_so_far == [NODES, NODES, NODES]


async def test_a_node_that_was_read_is_not_looked_up(world: JobWorld) -> None:
    for node in (await world.read(NODES)).nodes.values():
        assert world.nodes.name(node.uuid) == node.name


async def test_that_nothing_is_left_over_is_known_from_any_part(world: JobWorld) -> None:
    assert world.may_have_leftovers
    await world.read(GROUPS)
    assert not world.may_have_leftovers
