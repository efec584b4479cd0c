"""``gantry devcluster``: up, status, env, exec, restart of what dies, down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.conftest import NewCluster
from tests.cluster.development import DevCluster, down, up_again

from gantry.cli.devcluster.found import processes_of
from gantry.cli.devcluster.main import main


def test_all_nodes_are_in_the_cluster(cluster: DevCluster) -> None:
    names = cluster.run("gnt-node", "list", "--no-headers", "-o", "name").split()
    assert names == ["node1.gantry.test", "node2.gantry.test", "node3.gantry.test"]


def test_every_daemon_is_ready(cluster: DevCluster) -> None:
    assert {status.state for status in cluster.status()} == {"ready"}
    layout = cluster.layout
    expected = {(n.name, program) for n in layout.nodes for program in layout.programs(n)}
    assert {(status.node, status.program) for status in cluster.status()} == expected


def test_a_killed_daemon_is_started_again(cluster: DevCluster) -> None:
    before = cluster.pid("gantry-noded", "node3")
    assert cluster.kill("gantry-noded", "node3") != before


def test_exec_runs_on_the_node(cluster: DevCluster, capfd: pytest.CaptureFixture[str]) -> None:
    assert cluster.run("sh", "-c", "echo $GANTRY_ROOT", node="node2").strip() == str(
        cluster.layout.node("node2").root
    )
    assert main(["exec", "--dir", str(cluster.folder), "node9", "true"]) == 1
    assert "the nodes are: node1, node2, node3" in capfd.readouterr().err


def test_env_makes_a_shell_the_masters(cluster: DevCluster) -> None:
    script = 'eval "$(gantry devcluster env --dir "$1")"; gnt-cluster getmaster'
    path = cluster.layout.variables(cluster.master, os.environ)["PATH"]
    ended = subprocess.run(
        ["sh", "-c", script, "sh", str(cluster.folder)],
        env={"PATH": path, "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.strip() == "node1.gantry.test", ended.stderr


def test_status_shows_every_process(cluster: DevCluster, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--dir", str(cluster.folder)]) == 0
    rows = capfd.readouterr().out.splitlines()
    for node in cluster.layout.nodes:
        for program in cluster.layout.programs(node):
            assert any(row.split()[:3] == [node.name, program, "ready"] for row in rows)
    assert any("supervisor" in row for row in rows)


def test_a_second_up_is_refused(cluster: DevCluster, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--dir", str(cluster.folder)]) == 1
    assert "already; see: status" in capfd.readouterr().err


def test_clusters_run_side_by_side_and_leave_nothing(
    cluster: DevCluster, new_cluster: NewCluster
) -> None:
    other = new_cluster("--nodes", "1")
    assert other.layout.subnet != cluster.layout.subnet
    assert other.run("gnt-node", "list", "--no-headers", "-o", "name").split() == [
        "node1.gantry.test"
    ]
    layout = other.layout
    down(other.folder)
    assert processes_of(layout.folder) == ()
    assert not layout.folder.exists()
    assert not layout.run_folder.exists()
    assert not Path("/tmp/gantry-subnets", layout.subnet).exists()


def test_a_shell_that_uses_a_cluster_outlives_it(new_cluster: NewCluster) -> None:
    lone = new_cluster("--nodes", "1")
    program = str(Path(sys.executable).parent / "gantry")
    env = subprocess.run(
        [program, "devcluster", "env", "--dir", str(lone.folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    shell = subprocess.run(
        [
            "bash",
            "-c",
            f"{env}\nsleep 60 & {program} devcluster down --dir {lone.folder}; "
            "kill $! && echo alive",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert shell.stdout == "alive\n"
    assert processes_of(lone.folder) == ()


def test_a_cluster_whose_supervisor_was_killed_goes_down_too(new_cluster: NewCluster) -> None:
    lone = new_cluster("--nodes", "1")
    [supervisor] = [
        found.pid for found in processes_of(lone.folder) if "supervisor" in found.command
    ]
    os.kill(supervisor, 9)
    down(lone.folder)
    assert processes_of(lone.folder) == ()


def test_a_stopped_cluster_starts_again_with_its_files(new_cluster: NewCluster) -> None:
    lone = new_cluster("--nodes", "1")
    uuid = lone.run("gnt-node", "list", "--no-headers", "-o", "uuid")
    assert main(["down", "--dir", str(lone.folder), "--keep-files"]) == 0
    assert processes_of(lone.folder) == ()
    up_again(lone.folder, "--nodes", "1", "--hypervisor", "fake")
    assert lone.run("gnt-node", "list", "--no-headers", "-o", "uuid") == uuid


def test_a_folder_with_other_files_is_left_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert main(["up", "--dir", str(tmp_path)]) == 1
    assert "is not empty" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_nodes_in_namespaces_of_their_own(new_cluster: NewCluster) -> None:
    apart = new_cluster("--nodes", "2", "--net", "netns")
    assert apart.run("hostname", node="node2").strip() == "node2.gantry.test"
    assert "10.77.0.2" in apart.run("ip", "-brief", "address", node="node2")
    assert apart.run("gnt-node", "list", "--no-headers", "-o", "pip").split() == [
        "10.77.0.1",
        "10.77.0.2",
    ]
