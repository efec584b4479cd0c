"""Nodes that come back: the configuration lists the certificate that they have now."""

from __future__ import annotations

from pathlib import Path

from tests.unit.core.config.small_cluster import NODE2
from tests.unit.operations.job_bench import JobBench

from gantry.protocols.opcodes.node import OpNodeAdd


async def test_a_candidate_that_was_installed_anew_has_a_new_certificate(tmp_path: Path) -> None:
    bench = JobBench(tmp_path)
    before = bench.cluster.wconfd.state.configuration
    node = before.nodes[NODE2]
    again = OpNodeAdd(node_name=node.name, readd=True, primary_ip=node.primary_ip)
    ran = await bench.run(again)
    assert ran.statuses == {0: "success"}, ran.results
    after = bench.cluster.wconfd.state.configuration
    assert after.nodes[NODE2].master_candidate
    assert before.cluster.candidate_certs[NODE2] != "AA:BB"
    assert after.cluster.candidate_certs[NODE2] == "AA:BB"
