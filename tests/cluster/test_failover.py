"""Another master: by command, after a crash, and what becomes of the old one."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import cast
from urllib.request import urlopen

from tests.cluster.conftest import NewCluster
from tests.cluster.development import DevCluster

from gantry.cli.devcluster.control import StartFailed
from gantry.cli.devcluster.found import processes_of

DATA = "var/lib/ganeti"
NODE_DAEMONS = ("gantry-noded", "gantry-rconfd", "gantry-mond")

PATIENCE_SECONDS = 20.0


def eventually(
    holds: Callable[[], bool], what: str, patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait for something that happens in the background of other processes."""
    deadline = time.monotonic() + patience_seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)  # files and answers of other processes have no event here


def stands_down(cluster: DevCluster, program: str) -> None:
    """Start a master daemon where the master is no more: it ends, and is not started again."""
    with suppress(BaseExceptionGroup, StartFailed):  # it may be ready before it hears of that
        cluster.start(program)

    def has_ended() -> bool:
        states = [
            (each.state, each.pid)
            for each in cluster.status()
            if (each.node, each.program) == ("node1.gantry.test", program)
        ]
        return states == [("stopped", None)]

    eventually(has_ended, f"{program} of the old master ends")
    log = cluster.folder / "logs" / f"node1-{program}.log"
    assert "see gnt-cluster getmaster" in log.read_text().splitlines()[-1]


def rapi_answers(cluster: DevCluster) -> bool:
    """Whether somebody serves RAPI on the cluster's own address."""
    url = f"https://{cluster.layout.cluster_address}:5080/version"
    return cluster.execute("curl", "-sk", url, node="node2").stdout.strip() == "2"


def tags(cluster: DevCluster, node: str) -> set[str]:
    return set(cluster.run("gnt-cluster", "list-tags", node=node).split())


def jobs(cluster: DevCluster, node: str) -> dict[int, str]:
    lines = cluster.run(
        "gnt-job", "list", "--no-headers", "--separator=:", "-o", "id,status", node=node
    ).splitlines()
    return {int(job): status for job, _, status in (line.partition(":") for line in lines)}


def job_processes(cluster: DevCluster, node: str) -> list[str]:
    """Return the job processes of a node."""
    root = str(cluster.layout.node(node).root)
    found = processes_of(cluster.folder)
    return [each.command for each in found if each.root == root and "gantry-job" in each.command]


def goes_on(cluster: DevCluster, node: str, job: int) -> None:
    """Wait until a job that began under another master runs here, with its locks."""

    def runs() -> bool:
        held = cluster.run("gnt-debug", "locks", "--no-headers", node=node)
        return jobs(cluster, node)[job] == "running" and str(job) in held

    eventually(runs, f"job {job} goes on at {node}")
    eventually(lambda: bool(job_processes(cluster, node)), f"job {job} has a process at {node}")


def last_record(cluster: DevCluster, node: str, log: str = "config.log") -> list[str]:
    """Return index and checksum of a node's last whole record."""
    *lines, _ = (cluster.layout.node(node).root / DATA / log).read_text().split("\n")
    if len(lines) == 1:  # the file begins with what came before it
        return lines[0].split(" ")[2:]
    _, index, _, checksum, _ = lines[-1].split(" ", 4)
    return [index, checksum]


def same_end(cluster: DevCluster, one: str, other: str, log: str) -> bool:
    return last_record(cluster, one, log) == last_record(cluster, other, log)


def replica(cluster: DevCluster, node: str) -> dict[str, dict[str, object]]:
    data = json.loads((cluster.layout.node(node).root / DATA / "config.data").read_text())
    return cast("dict[str, dict[str, object]]", data)


def test_a_living_master_hands_over_and_can_come_back(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "3")
    cluster.run("gnt-cluster", "add-tags", "before")
    refused = cluster.execute("gnt-cluster", "master-failover")
    assert refused.returncode == 1
    assert "is the master already" in refused.stderr
    archived = str(max(jobs(cluster, "node1")))
    cluster.run("gnt-job", "archive", archived)

    cluster.run("gnt-debug", "delay", "--submit", "600")
    [job] = [number for number, status in jobs(cluster, "node1").items() if status != "success"]
    cluster.run("gnt-cluster", "master-failover", node="node2")
    assert job_processes(cluster, "node1") == []
    assert cluster.run("gnt-cluster", "getmaster", node="node2").strip() == "node2.gantry.test"
    assert tags(cluster, "node2") == {"before"}
    assert "OP_TAGS_SET" in cluster.run("gnt-job", "info", archived, node="node2")
    cluster.run("gnt-node", "add-tags", "node3", "after", node="node2")
    eventually(lambda: rapi_answers(cluster), "the cluster's address is the new master's")
    running = {(each.node, each.program) for each in cluster.status() if each.state == "ready"}
    assert ("node2.gantry.test", "gantry-luxid") in running
    assert ("node1.gantry.test", "gantry-luxid") not in running

    goes_on(cluster, "node2", job)

    cluster.run("gnt-cluster", "master-failover")
    assert tags(cluster, "node1") == {"before"}
    assert cluster.run("gnt-node", "list-tags", "node3").split() == ["after"]
    goes_on(cluster, "node1", job)
    cluster.execute("gnt-job", "cancel", str(job))
    eventually(lambda: jobs(cluster, "node1")[job] == "canceled", "the job is cancelled")
    cluster.run("gnt-cluster", "verify")


def test_nothing_acknowledged_is_lost_with_the_master(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "3")
    for number in range(5):
        cluster.run("gnt-cluster", "add-tags", f"tag{number}")
    cluster.run("gnt-debug", "delay", "--submit", "600")
    known = jobs(cluster, "node1")
    cluster.kill_all("node1")

    said = cluster.run("gnt-cluster", "master-failover", node="node3")
    assert "node1.gantry.test does not answer" in said
    assert tags(cluster, "node3") == {f"tag{number}" for number in range(5)}
    assert jobs(cluster, "node3").keys() == known.keys()
    goes_on(cluster, "node3", max(known))
    cluster.execute("gnt-job", "cancel", str(max(known)), node="node3")
    eventually(
        lambda: set(jobs(cluster, "node3").values()) <= {"success", "canceled"},
        "the job that the old master ran comes to an end",
    )
    cluster.run("gnt-cluster", "add-tags", "new", node="node3")

    # The old master returns: it stands down, and follows.
    stands_down(cluster, "gantry-wconfd")
    for program in NODE_DAEMONS:
        cluster.start(program)
    eventually(
        lambda: last_record(cluster, "node1") == last_record(cluster, "node3"),
        "the old master catches up",
    )
    for program in ("gantry-wconfd", "gantry-luxid"):
        stands_down(cluster, program)
    eventually(
        lambda: cluster.run("gnt-cluster", "getmaster").strip() == "node3.gantry.test",
        "the old master hears who the new one is",
    )
    cluster.run("gnt-cluster", "verify", node="node3")


def test_a_candidate_that_was_away_catches_up(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "3")
    cluster.kill_all("node2")
    for number in range(5):
        cluster.run("gnt-cluster", "add-tags", f"tag{number}")
    for program in NODE_DAEMONS:
        cluster.start(program, node="node2")
    for log in ("config.log", "queue.journal"):
        eventually(partial(same_end, cluster, "node2", "node1", log), f"{log} is equal")
    eventually(
        lambda: len(cast("list[str]", replica(cluster, "node2")["cluster"]["tags"])) == 5,
        "what is committed is in config.data of the candidate",
    )
    with urlopen(f"http://{cluster.layout.node('node1').address}:1815/metrics") as answer:
        metrics = answer.read().decode()
    for stream in ("config", "queue"):
        assert f'gantry_replication_lease{{stream="{stream}"}} 1' in metrics
        lag = f'gantry_replication_candidate_lag_records{{stream="{stream}"'
        assert metrics.count(lag) == 2


def test_a_candidate_that_got_a_snapshot_has_the_archive(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "3")
    for number in range(3):
        cluster.run("gnt-cluster", "add-tags", f"tag{number}")
    archived = sorted(jobs(cluster, "node1"))
    cluster.run("gnt-job", "archive", *map(str, archived))
    lost = cluster.layout.node("node2").root / DATA
    cluster.kill_all("node2")
    for name in ("queue.snapshot", "queue.journal"):
        (lost / name).unlink()
    shutil.rmtree(lost / "queue/archive", ignore_errors=True)

    for program in NODE_DAEMONS:
        cluster.start(program, node="node2")
    files = [lost / f"queue/archive/0/job-{job}" for job in archived]
    eventually(lambda: all(file.exists() for file in files), "the archive is brought over")
    eventually(lambda: not (lost / "queue.archive-gap").exists(), "the gap is closed")

    cluster.run("gnt-cluster", "master-failover", node="node2")
    for job in map(str, archived):
        assert "Status: success" in cluster.run("gnt-job", "info", job, node="node2")
    url = f"https://{cluster.layout.cluster_address}:5080/2/jobs/{archived[-1]}"
    eventually(lambda: rapi_answers(cluster), "the cluster's address is the new master's")
    told = json.loads(cluster.execute("curl", "-sk", url, node="node2").stdout)
    assert (told["id"], told["status"]) == (archived[-1], "success")


def test_a_lost_majority_changes_nothing_until_somebody_says_so(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "3")
    cluster.run("gnt-cluster", "add-tags", "kept")
    cluster.kill_all("node1")
    cluster.kill_all("node2")
    refused = cluster.execute("gnt-cluster", "master-failover", node="node3")
    assert refused.returncode == 1
    assert "only 1 of the 3 master candidates" in refused.stderr
    said = cluster.run("gnt-cluster", "master-failover", "--no-voting", "--yes-do-it", node="node3")
    assert "Without a majority" in said
    assert tags(cluster, "node3") == {"kept"}
    cluster.run("gnt-cluster", "add-tags", "alone", node="node3")
    offline = cluster.run(
        "gnt-node", "list", "--no-headers", "--separator=:", "-o", "name,offline", node="node3"
    )
    assert "node1.gantry.test:Y" in offline
    assert "node2.gantry.test:Y" in offline


def test_a_master_without_a_majority_acknowledges_nothing_and_has_a_way_out(
    new_cluster: NewCluster,
) -> None:
    cluster = new_cluster("--nodes", "3")
    replica = cluster.layout.node("node2").root / DATA / "config.data"
    eventually(replica.exists, "the candidate has its replica")
    cluster.kill_all("node2")
    cluster.run("gnt-cluster", "add-tags", "two-of-three")
    cluster.kill_all("node3")
    eventually(lambda: no_lease(cluster), "the lease ends")
    assert tags(cluster, "node1") == {"two-of-three"}  # reading goes on
    forced = ("gnt-node", "modify", "--offline=yes", "--force-quorum", "--force", "node3")
    assert "is not the master" in cluster.execute(*forced, node="node2").stderr
    assert "leads without" in cluster.run(*forced)
    cluster.run("gnt-cluster", "add-tags", "alone")
    assert tags(cluster, "node1") >= {"two-of-three", "alone"}


def no_lease(cluster: DevCluster) -> bool:
    refused = cluster.execute("gnt-cluster", "add-tags", "too-few")
    return refused.returncode == 1 and "holds no lease" in refused.stdout + refused.stderr


def test_of_two_one_goes_on_alone_and_is_not_replaced_unasked(new_cluster: NewCluster) -> None:
    cluster = new_cluster("--nodes", "2")
    data = cluster.layout.node("node1").root / DATA
    cluster.kill_all("node2")
    eventually(lambda: added(cluster, "alone"), "the master goes on alone")
    assert {path.name for path in data.glob("solo-*")} == {"solo-config.json", "solo-queue.json"}
    said = cluster.execute("gnt-cluster", "info")
    assert "Warning: the master goes on alone since record" in said.stderr
    assert "Warning: the master goes on alone since record" in said.stdout
    log = cluster.run("gnt-job", "info", str(max(jobs(cluster, "node1"))))
    assert "Warning: the master goes on alone since record" in log
    verified = cluster.execute("gnt-cluster", "verify")
    assert "the other master candidate lacks what follows record" in verified.stdout
    for program in NODE_DAEMONS:
        cluster.start(program, node="node2")
    eventually(lambda: not list(data.glob("solo-*")), "the other one has everything again")
    assert "Warning" not in cluster.execute("gnt-cluster", "info").stderr
    cluster.kill_all("node1")
    refused = cluster.execute("gnt-cluster", "master-failover", node="node2")
    assert "only 1 of the 2 master candidates" in refused.stderr
    cluster.run("gnt-cluster", "master-failover", "--no-voting", "--yes-do-it", node="node2")
    assert "alone" in tags(cluster, "node2")


def added(cluster: DevCluster, tag: str) -> bool:
    return cluster.execute("gnt-cluster", "add-tags", tag).returncode == 0
