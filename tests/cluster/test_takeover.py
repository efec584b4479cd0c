"""A cluster of Ganeti 3.0 or 3.1 is taken over with real daemons, changed, and exported again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from tests.cluster.development import DevCluster, down, up
from tests.unit.core.founding.ganeti_schema import misfits
from tests.unit.core.founding.ganeti_source import leave_ganeti

from gantry.cli.devcluster.bringing_up import make_folders, prepare
from gantry.cli.devcluster.subnets import Subnet
from gantry.cli.exit_codes import CONFIRMATION_NEEDED


@frozen
class Left:
    """What will be a cluster, and the configuration that Ganeti has left on its master."""

    cluster: DevCluster
    source: dict[str, Any]
    held: Subnet


@pytest.fixture(params=[3_000_000, 3_010_000], ids=["3.0", "3.1"])
def left(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Left]:
    folder = tmp_path / "dev"
    prepared = prepare(folder, 3, "loopback", "fake")
    assert prepared.held is not None
    subnet = prepared.held.prefix
    make_folders(prepared.layout)
    cluster = DevCluster(folder)
    try:
        source = leave_ganeti(cluster.master.root / "var/lib/ganeti", subnet, request.param)
        yield Left(cluster, source, prepared.held)
    finally:
        down(folder)


def exported(cluster: DevCluster) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(cluster.run("gantry", "export"))
    return value


def test_a_cluster_is_taken_over_changed_and_exported(left: Left) -> None:
    cluster, source = left.cluster, left.source
    config = str(cluster.master.root / "var/lib/ganeti/config.data")

    refused = cluster.execute("gantry", "takeover", config)
    assert refused.returncode == CONFIRMATION_NEEDED
    assert "give --yes if you mean it" in refused.stderr
    assert "kept as they are: hmac.key" in refused.stdout
    assert json.loads(Path(config).read_text()) == source
    assert "node2.gantry.test" in cluster.run("gantry", "takeover", "--yes", config)
    assert exported(cluster) == source

    left.held.free()  # for the supervisor, which holds it from now on
    up(cluster.folder, "--nodes", "3", "--hypervisor", "fake")
    assert exported(cluster) == source
    cluster.run("gnt-cluster", "verify-config")
    assert cluster.run("gnt-instance", "list", "--no-headers", "-o", "name").split() == [
        "inst1.gnt.test",
        "inst2.gnt.test",
        "tmpl.gnt.test",
    ]

    cluster.run("gnt-node", "add-tags", "node2.gantry.test", "from:ganeti")
    cluster.run("gnt-group", "rename", "group2", "rack2")
    cluster.run("gnt-network", "rename", "net1", "lab")
    after = exported(cluster)
    assert misfits(after) == []
    for parameters in ("hvparams", "diskparams"):  # what each version knows, and no more
        assert after["cluster"][parameters] == source["cluster"][parameters]
    [node] = [each for each in after["nodes"].values() if each["name"] == "node2.gantry.test"]
    assert "from:ganeti" in node["tags"]
    assert node["serial_no"] == source["nodes"][node["uuid"]]["serial_no"] + 1
    assert {each["name"] for each in after["nodegroups"].values()} == {"default", "rack2"}
    assert after["cluster"]["candidate_certs"] == source["cluster"]["candidate_certs"]
    assert [each["name"] for each in after["networks"].values()] == ["lab"]
    untouched = ("instances", "disks", "filters", "version", "ctime")
    assert {key: after[key] for key in untouched} == {key: source[key] for key in untouched}
    jobs = cluster.run("gnt-job", "list", "--no-headers", "-o", "id").split()
    assert min(int(job) for job in jobs if int(job) > 421) == 422
