"""A promotion that is refused leaves the reign that is as it was: nobody has promised anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import pytest
import trio
from attrs import define, field
from tests.unit.runtime.memory_replicas import BASE, ONE, Node
from typing_extensions import override

from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import Epoch
from gantry.protocols.noded import StepFailed
from gantry.protocols.objects import node as objects
from gantry.protocols.replication import Promised, Replicas, ReplicaState, Stream
from gantry.runtime.failover import PromotionRefused, fail_over
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

T = TypeVar("T")

SAMPLE: Final = Path(__file__).parents[2] / "facts/samples/config.data"
"""Three master candidates; node1 is the master."""

MASTER, HERE, OTHER = "node1.gnt.test", "node2.gnt.test", "node3.gnt.test"


@define
class Voter(Node):
    """A voter that notes its promises."""

    known: Epoch = ONE
    disk_full: bool = False
    pledged: list[Epoch] = field(factory=list)

    @override
    async def replica_state(self, stream: Stream) -> ReplicaState:
        return ReplicaState(self.known, BASE, BASE.index)

    @override
    async def promise(self, epoch: Epoch) -> Promised:
        if self.disk_full:
            raise StepFailed("no space left on device")
        self.pledged.append(epoch)
        return Promised(epoch, BASE, BASE)


@pytest.fixture
def voters(monkeypatch: pytest.MonkeyPatch) -> dict[str, Voter]:
    """Return the voters, whom every candidate asks."""
    voters = {name: Voter() for name in (MASTER, HERE, OTHER)}

    async def ask(
        _: NodeLinks,
        node: objects.Node,
        question: Callable[[Replicas], Awaitable[T]],
        deadline_seconds: float,
    ) -> T:
        if voters[node.name].away:
            await trio.sleep(deadline_seconds)
            raise ConnectionLost("nobody there")
        return await question(voters[node.name])

    monkeypatch.setattr(NodeLinks, "ask_replicas", ask)
    return voters


async def promoted(name: str = HERE) -> str:
    """Promote a node; return why that was refused."""
    files = MemoryFiles()
    env = memory_environment(name, files)
    files.put(env.paths.config, SAMPLE.read_bytes())
    with pytest.raises(PromotionRefused) as refused:
        await fail_over(env, lambda _: None, forced=False)
    return str(refused.value)


async def test_a_candidate_that_is_cut_off_promises_nothing(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[MASTER].away = voters[OTHER].away = True
    assert "only 1 of the 3 master candidates answer" in await promoted()
    assert [voter.pledged for voter in voters.values()] == [[], [], []]


async def test_others_promise_nothing_to_a_candidate_that_can_not(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[HERE].disk_full = True
    assert "mend that first" in await promoted()
    assert [voter.pledged for voter in voters.values()] == [[], [], []]


async def test_who_leads_is_told_so(voters: dict[str, Voter]) -> None:
    assert await promoted(MASTER) == "node1.gnt.test is the master already"
    assert [voter.pledged for voter in voters.values()] == [[], [], []]


async def test_an_old_master_that_never_heard_of_its_end_is_a_candidate_like_others(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[OTHER].known = Epoch(2)
    voters[MASTER].disk_full = True  # so that it ends there
    assert "NodeD of node1.gnt.test does not promise" in await promoted(MASTER)
