"""Elections over a real etcd: a dead master is replaced by itself, and nothing flaps without it."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
from attrs import define
from tests.cluster.conftest import NewCluster
from tests.cluster.development import DevCluster
from tests.cluster.test_failover import eventually, tags

NODES = ("node1", "node2", "node3")
LEASE_SECONDS = 5
READY_SECONDS_MAX = 20.0


@define
class Etcd:
    """One etcd on the loopback address."""

    folder: Path
    port: int
    peer_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        peer = f"http://127.0.0.1:{self.peer_port}"
        argv = ["etcd", "--name=one", f"--data-dir={self.folder}", "--log-level=error"]
        argv += [f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}"]
        argv += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        argv += [f"--initial-cluster=one={peer}"]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._healthy():
            assert time.monotonic() < deadline, "etcd does not start"
            time.sleep(0.1)  # another program's port has no event here

    def _healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=1) as answer:
                return b"true" in answer.read()
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@contextmanager
def running_etcd(folder: Path) -> Iterator[Etcd]:
    if shutil.which("etcd") is None:
        pytest.skip("etcd is not installed: apt install etcd-server")
    etcd = Etcd(folder, free_port(), free_port())
    etcd.start()
    try:
        yield etcd
    finally:
        etcd.stop()


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    with running_etcd(tmp_path / "etcd") as started:
        yield started


def elect(cluster: DevCluster, etcd: Etcd) -> None:
    """Let all nodes take part in elections; the first endpoint is one where nobody listens."""
    nobody = f"http://127.0.0.1:{free_port()}"
    text = json.dumps({"endpoints": [nobody, etcd.url], "lease_seconds": LEASE_SECONDS})
    for node in cluster.layout.nodes:
        folder = node.root / "etc/ganeti"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "election.json").write_text(text)
        cluster.start("gantry-electd", node=node.short_name)


def log(cluster: DevCluster, node: str) -> str:
    path = cluster.layout.node(node).root / "var/log/ganeti/election-daemon.log"
    return path.read_text() if path.exists() else ""


def says(cluster: DevCluster, node: str, text: str) -> bool:
    return text in log(cluster, node)


def masters(cluster: DevCluster) -> list[str]:
    return [
        each.node.partition(".")[0]
        for each in cluster.status()
        if (each.program, each.state) == ("gantry-luxid", "ready")
    ]


def test_a_killed_master_is_replaced_by_itself_and_nothing_flaps(
    new_cluster: NewCluster, etcd: Etcd
) -> None:
    cluster = new_cluster("--nodes", "3")
    elect(cluster, etcd)
    eventually(lambda: holds_office(etcd, "node1"), "the master takes its office")

    cluster.run("gnt-cluster", "master-failover", node="node2")  # by hand, all the same
    eventually(lambda: holds_office(etcd, "node2"), "the office goes to the new master")

    etcd.stop()  # the master goes on by its own lease, and nobody is promoted
    for node in NODES:
        eventually(partial(says, cluster, node, "nobody is elected"), "etcd is missed")
    cluster.run("gnt-cluster", "add-tags", "without-etcd", node="node2")
    etcd.start()
    eventually(lambda: holds_office(etcd, "node2"), "the master has its office again")
    assert masters(cluster) == ["node2"]
    assert not any(says(cluster, node, "trying to become the master") for node in NODES)

    cluster.kill_all("node2")
    eventually(lambda: masters(cluster) not in ([], ["node2"]), "somebody is elected", 90)
    (winner,) = masters(cluster)
    assert tags(cluster, winner) == {"without-etcd"}
    cluster.run("gnt-cluster", "add-tags", "after", node=winner)
    assert holds_office(etcd, winner)


def holds_office(etcd: Etcd, node: str) -> bool:
    """Whether the only key below /gantry has the node's name as its value."""
    asked = json.dumps({"key": encoded("/gantry/"), "range_end": encoded("/gantry0")}).encode()
    with urlopen(f"{etcd.url}/v3/kv/range", asked) as answer:
        kvs = json.load(answer).get("kvs", [])
    return [each["value"] for each in kvs] == [encoded(f"{node}.gantry.test")]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
