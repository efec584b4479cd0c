"""Job filter rules on real daemons: kept by WConfD, obeyed by LuxiD, also after restarts."""

from __future__ import annotations

from tests.cluster.development import DevCluster

DELAY = ("gnt-debug", "delay", "--submit", "0")
NEW_DELAYS = '[["jobid", [">", "id", "watermark"]], ["opcode", ["=", "OP_ID", "OP_TEST_DELAY"]]]'


def status(cluster: DevCluster, job: str) -> str:
    return cluster.run("gnt-job", "list", "--no-headers", "-o", "status", job).strip()


def submitted(cluster: DevCluster) -> str:
    return cluster.run(*DELAY).split()[-1].strip()


def test_rules_hold_jobs_up_send_them_away_and_outlive_their_daemons(cluster: DevCluster) -> None:
    add = ("gnt-filter", "add", "--predicates", NEW_DELAYS, "--reason", "maintenance")
    rule = cluster.run(*add, "--action", "PAUSE").strip()
    try:
        paused = submitted(cluster)
        assert status(cluster, paused) == "queued"
        assert rule in cluster.run("gnt-filter", "list", "--no-headers", "-o", "uuid")
        assert "maintenance" in cluster.run("gnt-filter", "info", rule)

        for daemon in ("gantry-luxid", "gantry-wconfd"):
            cluster.kill(daemon)
        assert rule in cluster.run("gnt-filter", "info")
        assert status(cluster, paused) == "queued"

        cluster.run("gnt-filter", "replace", "--action", "REJECT", rule)
        assert status(cluster, paused) == "canceled"
        assert status(cluster, submitted(cluster)) == "canceled"
    finally:
        cluster.run("gnt-filter", "delete", rule)
    cluster.run("gnt-job", "wait", submitted(cluster))  # nothing holds jobs up any more
    assert "no filter rule" in cluster.execute("gnt-filter", "delete", rule).stderr
