"""The life of instances on three nodes, with the commands that people give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.development import DevCluster

NODE1, NODE2, NODE3 = (f"node{number}.gantry.test" for number in (1, 2, 3))
STORAGE = "srv/ganeti/file-storage"


def add(cluster: DevCluster, name: str, *more: str, template: str = "file") -> str:
    options = ("-t", template, "-o", "busybox", "-s", "64m", "-n", NODE2)
    unchecked = ("--no-name-check", "--no-ip-check")
    return cluster.run("gnt-instance", "add", *options, *unchecked, *more, name)


def shown(cluster: DevCluster, name: str, *fields: str) -> list[str]:
    listing = ("gnt-instance", "list", "--no-headers", "--separator=|", "-o", ",".join(fields))
    return cluster.run(*listing, name).strip().split("|")


def images(cluster: DevCluster, node: str = "node2") -> list[str]:
    """Return what is in a node's folder for image files, folders of instances included."""
    folder = cluster.layout.node(node).root / STORAGE
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def web(cluster: DevCluster) -> Iterator[str]:
    """An instance with one disk on node2; removed at the end, whatever its name is then."""
    before = names(cluster)
    add(cluster, "web1.example.com")
    yield "web1.example.com"
    for name in names(cluster) - before:
        cluster.run("gnt-instance", "remove", "-f", name)
    assert images(cluster) == []


def names(cluster: DevCluster) -> set[str]:
    return set(cluster.run("gnt-instance", "list", "--no-headers", "-o", "name").split())


def test_it_runs_where_it_was_put(cluster: DevCluster, web: str) -> None:
    assert shown(cluster, web, "pnode", "status", "admin_state") == [NODE2, "running", "up"]
    assert len(images(cluster)) == 2  # the folder and the image
    assert "actual state is up" in cluster.run("gnt-instance", "info", web)


def test_down_and_up_and_around(cluster: DevCluster, web: str) -> None:
    cluster.run("gnt-instance", "shutdown", web)
    assert shown(cluster, web, "status", "oper_state") == ["ADMIN_down", "N"]
    cluster.run("gnt-instance", "startup", web)
    assert shown(cluster, web, "status", "oper_state") == ["running", "Y"]
    cluster.run("gnt-instance", "reboot", web)
    assert shown(cluster, web, "status") == ["running"]


def test_its_disks_follow_its_name(cluster: DevCluster, web: str) -> None:
    rename = ("gnt-instance", "rename", "--force", "--no-name-check", "--no-ip-check")
    assert cluster.execute(*rename, web, "web2.example.com").returncode == 1  # it runs
    cluster.run("gnt-instance", "shutdown", web)
    cluster.run(*rename, web, "web2.example.com")
    assert names(cluster) == {"web2.example.com"}
    assert {image.split("/")[0] for image in images(cluster)} == {"web2.example.com"}
    cluster.run("gnt-instance", "startup", "web2")


def test_local_disks_keep_it_where_it_is(cluster: DevCluster, web: str) -> None:
    tried = cluster.execute("gnt-instance", "migrate", "-f", "-n", NODE3, web)
    assert tried.returncode == 1
    assert "template file" in tried.stderr
    assert shown(cluster, web, "pnode", "status") == [NODE2, "running"]


def test_shared_disks_let_it_move(cluster: DevCluster) -> None:
    add(cluster, "roam.example.com", template="sharedfile")
    try:
        for how, target in (((), NODE3), (("--non-live",), NODE1)):
            cluster.run("gnt-instance", "migrate", "-f", *how, "-n", target, "roam")
            assert shown(cluster, "roam", "pnode", "status") == [target, "running"]
    finally:
        cluster.run("gnt-instance", "remove", "-f", "roam.example.com")


def test_tags_of_everything(cluster: DevCluster, web: str) -> None:
    for program, target in (
        ("gnt-instance", (web,)),
        ("gnt-node", (NODE3,)),
        ("gnt-cluster", ()),
    ):
        cluster.run(program, "add-tags", *target, "blue", "green")
        assert cluster.run(program, "list-tags", *target).split() == ["blue", "green"]
        assert cluster.execute(program, "remove-tags", *target, "red").returncode == 1
        cluster.run(program, "remove-tags", *target, "blue", "green")
        assert cluster.run(program, "list-tags", *target).split() == []


def test_hooks_may_refuse_and_nothing_is_left(cluster: DevCluster) -> None:
    folder = cluster.layout.node("node1").root / "etc/ganeti/hooks/instance-add-pre.d"
    folder.mkdir(parents=True)
    script = folder / "refuse"
    try:
        script.write_text('#!/bin/sh\necho "not $GANETI_INSTANCE_NAME"\nexit 1\n')
        script.chmod(0o755)
        tried = cluster.execute(
            *("gnt-instance", "add", "-t", "file", "-o", "busybox", "-s", "64m", "-n", NODE2),
            *("--no-name-check", "--no-ip-check", "web3.example.com"),
        )
    finally:
        script.unlink(missing_ok=True)
        folder.rmdir()
    assert tried.returncode == 1
    assert "not web3.example.com" in tried.stderr + tried.stdout
    assert names(cluster) == set()
    assert images(cluster) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-n", "node9", "-o", "busybox"), "node 'node9' is not known"),
        (("-n", NODE2, "-o", "debian"), "there are: busybox"),
        (("-n", NODE2, "-o", "busybox", "-B", "wings=2"), "parameter wings"),
        (("-n", NODE2, "-o", "busybox", "-B", "vcpus=99"), "--ignore-ipolicy"),
        (("-n", NODE2, "-o", "busybox", "-H", "kvm"), "not enabled"),
        (("-n", NODE2, "-o", "busybox", "-O", "colour=red"), "no parameter colour"),
        (("-n", NODE2, "-o", "busybox", "--tags", "b c"), "can not be a tag"),
        (("-n", NODE2, "-o", "busybox", "--net", "0:mac=zz"), "not a MAC address"),
        (("-n", f"{NODE1}:{NODE2}", "-o", "busybox"), "no secondary node"),
    ],
)
def test_wrong_input_changes_nothing(
    cluster: DevCluster, options: tuple[str, ...], says: str
) -> None:
    tried = cluster.execute(
        *("gnt-instance", "add", "-t", "file", "-s", "64m", *options),
        *("--no-name-check", "--no-ip-check", "web4.example.com"),
    )
    assert tried.returncode == 1
    assert says in tried.stderr
    assert "Traceback" not in tried.stderr
    assert names(cluster) == set()


def test_a_name_is_taken_once(cluster: DevCluster, web: str) -> None:
    tried = cluster.execute(
        *("gnt-instance", "add", "-t", "diskless", "-n", NODE3, "--no-install"),
        *("--no-name-check", "--no-ip-check", web),
    )
    assert tried.returncode == 1
    assert "in use" in tried.stderr
    assert shown(cluster, web, "pnode") == [NODE2]


def test_many_at_once(cluster: DevCluster) -> None:
    wanted = {f"many{number}.example.com" for number in range(8)}
    for name in sorted(wanted):
        add(cluster, name, "--submit")
    jobs = cluster.run("gnt-job", "list", "--no-headers", "-o", "id").split()
    for job in jobs[-len(wanted) :]:
        cluster.run("gnt-job", "wait", job)
    assert names(cluster) == wanted
    cluster.run("gnt-instance", "remove", "-f", "many0.example.com")
    for name in sorted(wanted - {"many0.example.com"}):
        cluster.run("gnt-instance", "remove", "-f", name)
    assert images(cluster) == []


def test_verify_finds_what_is_missing(cluster: DevCluster, web: str) -> None:
    assert cluster.execute("gnt-cluster", "verify").returncode == 0
    folder = cluster.layout.node("node2").root / STORAGE
    [image] = folder.rglob("*.disk0")
    hidden = image.rename(image.with_suffix(".away"))
    try:
        found = cluster.execute("gnt-cluster", "verify", "--error-codes")
        assert found.returncode == 1
        assert f"ERROR:EINSTANCEMISSINGDISK:instance:{web}:" in found.stdout
    finally:
        hidden.rename(image)
    assert cluster.execute("gnt-cluster", "verify").returncode == 0
