"""Making, joining, leaving and destroying a cluster, by the commands that users give."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from tests.cluster.conftest import NewCluster
from tests.cluster.development import DevCluster
from tests.cluster.test_failover import eventually

from gantry.cli.devcluster.control import StartFailed

DATA = "var/lib/ganeti"


def no_traceback(text: str) -> bool:
    return "Traceback" not in text


def test_a_second_init_is_refused_and_changes_nothing(cluster: DevCluster) -> None:
    config = cluster.master.root / DATA / "hmac.key"
    before = config.read_bytes()
    ended = cluster.execute("gnt-cluster", "init", "other.gantry.test")
    assert ended.returncode == 1
    assert "is a node of a cluster already" in ended.stderr
    assert no_traceback(ended.stderr)
    assert config.read_bytes() == before


def test_what_init_refuses_leaves_no_file(cluster: DevCluster, tmp_path: Path) -> None:
    root = tmp_path / "lone.gantry.test"
    (root / "etc").mkdir(parents=True)
    (root / "etc/hosts").write_text("127.0.0.1 lone.gantry.test same.gantry.test\n")
    for options, reason in (
        (["nowhere.invalid"], "does not resolve"),
        (["same.gantry.test"], "own address"),
        (["--enabled-hypervisors=xen-pvm", "same.gantry.test"], "not supported yet"),
        (["--enabled-hypervisors=nope", "same.gantry.test"], "no hypervisor nope"),
        (["--enabled-disk-templates=drbd", "same.gantry.test"], "not supported yet"),
        (["-B", "nope=1", "same.gantry.test"], "nope"),
    ):
        ended = cluster.execute("env", f"GANTRY_ROOT={root}", "gnt-cluster", "init", *options)
        assert ended.returncode == 1, (options, ended.stdout)
        assert reason in ended.stderr
        assert no_traceback(ended.stderr)
        assert not (root / DATA).exists()


def test_a_token_is_good_once_and_for_its_node_only(cluster: DevCluster) -> None:
    token = cluster.run("gantry", "token", "node9.gantry.test").strip()
    ended = cluster.execute("gantry", "join", "-", node="node2", standard_input=token)
    assert ended.returncode == 1
    assert "is a node of a cluster already" in ended.stderr
    tokens = json.loads((cluster.master.root / DATA / "join-tokens.json").read_text())
    assert token not in json.dumps(tokens)
    assert all(
        record["used"] for record in tokens["records"].values() if "node9" not in record["node"]
    )


def test_tokens_come_from_the_master_only(cluster: DevCluster) -> None:
    ended = cluster.execute("gantry", "token", "node9.gantry.test", node="node2")
    assert ended.returncode == 1
    assert no_traceback(ended.stderr)


def test_a_destroyed_cluster_leaves_a_machine_that_can_begin_anew(new_cluster: NewCluster) -> None:
    lone = new_cluster("--nodes", "1")
    assert lone.execute("gnt-cluster", "destroy").returncode == 1
    lone.run("gnt-cluster", "destroy", "--yes-do-it")
    data = lone.master.root / DATA
    assert not (data / "server.pem").exists()
    assert not (data / "config.data").exists()
    assert not list(data.glob("ssconf_*"))
    ended = lone.execute("gnt-cluster", "info")
    assert ended.returncode != 0
    assert no_traceback(ended.stderr)
    lone.run("gnt-cluster", "init", "--enabled-hypervisors=fake", "cluster.gantry.test")
    assert (data / "server.pem").exists()


@pytest.mark.parametrize("known_by", ["ssconf-position.json", "config.data"])
def test_a_node_that_was_removed_while_it_was_down_serves_nothing_when_it_is_back(
    new_cluster: NewCluster, known_by: str
) -> None:
    cluster = new_cluster("--nodes", "3")
    data = cluster.layout.node("node3").root / DATA
    for name in ("config.data", known_by):
        eventually((data / name).exists, f"the candidate has its {name}")
    cluster.kill_all("node3")
    if known_by == "config.data":  # it went down before its first ssconf files came
        for path in data.glob("ssconf*"):
            path.unlink()
    cluster.run("gnt-node", "modify", "--offline=yes", "node3")
    cluster.run("gnt-node", "remove", "node3")
    assert (data / "config.data").exists()
    with suppress(BaseExceptionGroup, StartFailed):  # it may be ready before it hears of that
        cluster.start("gantry-noded", node="node3")
    log, said = cluster.folder / "logs/node3-gantry-noded.log", "was removed from its cluster while"
    eventually(lambda: f"node3.gantry.test {said} it was away" in log.read_text(), "it is told")
    [aside] = data.glob("removed-*")
    assert {path.name for path in data.iterdir()} == {aside.name}
    assert (aside / "config.data").exists()
    token = cluster.run("gantry", "token", "node3.gantry.test").strip()
    cluster.run("gantry", "join", token, node="node3")  # it may be one again
    cluster.start("gantry-noded", node="node3")
    cluster.run("gnt-node", "add", "node3.gantry.test")
    cluster.run("gnt-cluster", "verify")
