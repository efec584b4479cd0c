"""Taking a node out: its vote goes first, since the other voters may be against it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.operations.job_bench import JobBench
from tests.unit.operations.twin_cluster import TwinWConfD

from gantry.protocols.changes import Change, RemoveNode, UpdateNode
from gantry.protocols.identity import Ticket
from gantry.protocols.opcodes.node import OpNodeRemove
from gantry.protocols.wconfd import Committed, Invariant, Refused

THIRD = OpNodeRemove(node_name="node3.gnt.test")


async def test_a_candidate_whose_vote_can_not_go_keeps_its_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, commit = JobBench(tmp_path), TwinWConfD.commit
    before = bench.cluster.picture()

    async def refusing(wconfd: TwinWConfD, ticket: Ticket, change: Change) -> Committed | Refused:
        nodes = wconfd.state.configuration.nodes
        match change:
            case UpdateNode(node) if nodes[node.uuid].master_candidate != node.master_candidate:
                return Refused(Invariant("voters", "cluster", "master candidates", "not now"))
            case RemoveNode(uuid) if nodes[uuid].master_candidate:
                return Refused(Invariant("voters", "cluster", "master candidates", "not now"))
        return await commit(wconfd, ticket, change)

    monkeypatch.setattr(TwinWConfD, "commit", refusing)
    ran = await bench.run(THIRD)
    assert ran.statuses == {0: "error"}
    assert "not now" in str(ran.results[0])
    assert "nothing was undone" not in str(ran.results[0])
    assert bench.cluster.picture() == before
    assert not [each.name for each in bench.cluster.all() if each.left]
