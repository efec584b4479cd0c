"""A promotion that is refused leaves the reign that is as it was: nobody has promised anything.

One that has begun ends it, and is tried again until somebody leads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import pytest
import trio
from attrs import define, field
from tests.unit.runtime.memory_replicas import BASE, ONE, Node
from typing_extensions import override

from gantry.protocols.codec import from_bytes
from gantry.protocols.errors import ConnectionLost, StaleEpoch
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.noded import StepFailed
from gantry.protocols.objects import node as objects
from gantry.protocols.replication import (
    Promised,
    ReplicaCopy,
    Replicas,
    ReplicaState,
    Snapshot,
    Stream,
)
from gantry.runtime.failover import PATIENCE_SECONDS, fail_over
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.promotion import PromotionRefused, Say
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
    led: list[Epoch] = field(factory=list)
    """The epochs in which it was told to lead."""
    copies: int = 100
    """How often its log can be read before its disk fails."""

    @override
    async def replica_state(self, stream: Stream) -> ReplicaState:
        return ReplicaState(self.known, BASE, BASE.index)

    @override
    async def promise(self, epoch: Epoch) -> Promised:
        if epoch <= self.known:
            raise StaleEpoch(epoch, self.known)
        if self.disk_full:
            raise StepFailed("no space left on device")
        self.known = epoch
        self.pledged.append(epoch)
        return Promised(epoch, BASE, BASE)

    @override
    async def stop_master(self, epoch: Epoch) -> None:
        return

    @override
    async def replica_copy(self, stream: Stream) -> ReplicaCopy:
        self.copies -= 1
        if self.copies < 0:
            raise StepFailed("input/output error")
        return ReplicaCopy(Snapshot(BASE, from_bytes(SAMPLE.read_bytes())), ())

    @override
    async def tell_epoch(self, epoch: Epoch) -> None:
        return

    @override
    async def start_master(self, epoch: Epoch, voters: tuple[NodeUuid, ...] | None) -> None:
        self.led.append(epoch)


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


async def promote(
    name: str, say: Say = lambda _: None, patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Give the command on a node."""
    files = MemoryFiles()
    env = memory_environment(name, files)
    files.put(env.paths.config, SAMPLE.read_bytes())
    await fail_over(env, say, forced=False, patience_seconds=patience_seconds)


async def promoted(name: str = HERE) -> str:
    """Promote a node; return why that was refused."""
    with pytest.raises(PromotionRefused) as refused:
        await promote(name)
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


async def test_a_master_that_is_cut_off_does_not_know_whether_it_leads(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[HERE].away = voters[OTHER].away = True
    assert "only 1 of the 3 master candidates answer" in await promoted(MASTER)


async def test_an_old_master_that_never_heard_of_its_end_is_a_candidate_like_others(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[OTHER].known = Epoch(2)
    voters[MASTER].disk_full = True  # so that it ends there
    assert "NodeD of node1.gnt.test does not promise" in await promoted(MASTER)


async def test_what_only_a_minority_has_promised_is_asked_for_again_until_somebody_leads(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[MASTER].disk_full = voters[OTHER].disk_full = True
    said: list[str] = []

    async def mend() -> None:
        await trio.sleep(12.0)
        assert voters[HERE].pledged  # the old reign is over by then
        assert not voters[HERE].led
        voters[OTHER].disk_full = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend)
        await promote(HERE, said.append)
    assert voters[HERE].led == [voters[HERE].known]
    assert voters[OTHER].pledged == [voters[HERE].known]
    assert any("only 1 of the 3" in text and "trying again" in text for text in said)


async def test_a_log_that_can_not_be_taken_at_first_is_taken_later(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[HERE].copies = 0

    async def mend() -> None:
        await trio.sleep(12.0)
        voters[HERE].copies = 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mend)
        await promote(HERE)
    assert voters[HERE].led == [voters[HERE].known]


async def test_who_is_out_of_patience_is_told_that_nobody_may_lead(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[MASTER].disk_full = voters[OTHER].disk_full = True
    assert "give the command again" in await promoted()
    assert trio.current_time() <= PATIENCE_SECONDS
    tries = len(voters[HERE].pledged)
    with pytest.raises(PromotionRefused, match="give the command again"):
        await promote(HERE, patience_seconds=0.0)
    assert len(voters[HERE].pledged) == tries + 1


async def test_of_two_who_try_again_the_one_gives_way_that_hears_of_a_newer_epoch(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[MASTER].disk_full = voters[OTHER].disk_full = True

    async def overtake() -> None:
        await trio.sleep(1.0)
        voters[OTHER].known = Epoch(9)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(overtake)
        assert "somebody else was told to lead" in await promoted()
    assert voters[HERE].known < Epoch(9)


async def test_a_candidate_whose_noded_is_away_asks_nobody(
    voters: dict[str, Voter], autojump_clock: trio.testing.MockClock
) -> None:
    voters[HERE].away = True
    assert "NodeD of node2.gnt.test does not answer" in await promoted()
    assert [voter.pledged for voter in voters.values()] == [[], [], []]
