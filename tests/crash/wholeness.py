"""What must hold whenever nothing runs: the cluster is what its configuration says, and no more."""

from __future__ import annotations

import time
from collections.abc import Iterator

import trio
from attrs import frozen
from tests.cluster.development import DevCluster
from tests.crash.jobs import Jobs, paths_of

from gantry.cli.devcluster.found import processes_of
from gantry.cli.errors import ServerFailure
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.objects.disk import FileId
from gantry.protocols.objects.instance import Instance
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD
from gantry.runtime.network import RealNetwork
from gantry.runtime.rpc import connect

TIDY_SECONDS_MAX = 5.0
"""After a job's end is known, its process still tidies up; so do daemons that were killed."""

LOOK_SECONDS = 0.02


@frozen
class Placed:
    """An instance as the configuration has it."""

    name: str
    node: str
    runs: bool
    disks: tuple[str, ...]
    tags: frozenset[str]


@frozen
class Picture:
    """All that jobs can change, in the configuration and on the nodes."""

    instances: frozenset[Placed]
    cluster_tags: frozenset[str]
    guests: frozenset[tuple[str, str]]
    """Node and instance of what the fake hypervisors run."""
    disks: frozenset[str]
    """The disk files, as paths below a node's root."""


def configuration_of(cluster: DevCluster) -> Configuration:
    """Ask WConfD for everything."""

    async def ask() -> Configuration:
        path = paths_of(cluster).socket(SOCKET_NAME)
        with trio.fail_after(TIDY_SECONDS_MAX):
            async with connect(WCONFD, RealNetwork(path.parent, ""), path) as wconfd:
                return load_configuration((await wconfd.snapshot()).configuration)

    return trio.run(ask)


def picture_of(cluster: DevCluster) -> Picture:
    """Look at the configuration and at the nodes' files."""
    found = configuration_of(cluster)
    return Picture(
        instances=frozenset(_placed(found, each) for each in found.instances.values()),
        cluster_tags=frozenset(found.cluster.tags),
        guests=frozenset(_guests(cluster)),
        disks=frozenset(_disks(cluster)),
    )


def _placed(found: Configuration, instance: Instance) -> Placed:
    places = [found.disks[uuid].logical_id for uuid in instance.disks]
    return Placed(
        name=instance.name,
        node=found.nodes[instance.primary_node].name,
        runs=instance.admin_state == "up",
        disks=tuple(place.path for place in places if isinstance(place, FileId)),
        tags=frozenset(instance.tags),
    )


def _guests(cluster: DevCluster) -> Iterator[tuple[str, str]]:
    for node in cluster.layout.nodes:
        folder = paths_of(cluster, node.name).run / "fake-hypervisor"
        for path in folder.glob("*"):
            yield node.name, path.name


def _disks(cluster: DevCluster) -> Iterator[str]:
    layout = cluster.layout
    shared = "srv/ganeti/shared-file-storage"
    folders = [(layout.shared_folder, shared)]
    folders += [
        (n.root / "srv/ganeti/file-storage", "srv/ganeti/file-storage") for n in layout.nodes
    ]
    for folder, name in folders:
        for path in folder.rglob("*"):
            yield f"/{name}/{path.relative_to(folder)}" + ("/" if path.is_dir() else "")


def problems_of(cluster: DevCluster, jobs: Jobs) -> list[str]:
    """Say what is left over, or differs from the configuration."""
    return [*_left(cluster, jobs), *differences(picture_of(cluster))]


def differences(picture: Picture) -> list[str]:
    """Compare what is on the nodes with what should be."""
    wanted = {(each.node, each.name) for each in picture.instances if each.runs}
    disks = {path for each in picture.instances for path in each.disks}
    folders = {f"{path.rpartition('/')[0]}/" for path in disks}
    found = [f"{name} runs on {node}" for node, name in picture.guests - wanted]
    found += [f"{name} does not run on {node}" for node, name in wanted - picture.guests]
    found += [f"disk {path} belongs to nothing" for path in picture.disks - disks - folders]
    found += [f"disk {path} is missing" for path in disks - picture.disks]
    return found


def _left(cluster: DevCluster, jobs: Jobs) -> Iterator[str]:
    try:
        for [(_, name), (_, owner)] in jobs.client.query("lock", ["name", "owner"]).rows:
            yield f"lock {name} of {owner}"
    except ServerFailure as failure:  # LuxiD has not found WConfD again yet
        yield failure.text
    for process in processes_of(cluster.folder):
        if process.command.startswith("gantry-job"):
            yield f"process {process.pid} {process.command}"
    paths = paths_of(cluster)
    yield from (f"socket {path}" for path in paths.sockets.glob("job-*"))
    yield from (f"step journal {path}" for path in (paths.queue / "steps").glob("*"))
    for folder in (node.root for node in cluster.layout.nodes):
        yield from (f"temporary file {path}" for path in folder.rglob("*.new"))


def assert_whole(cluster: DevCluster, jobs: Jobs, instances: int | None = None) -> Picture:
    """Wait until nothing is left over, and return what there is.

    Raises:
        AssertionError: something stays.
    """
    deadline = time.monotonic() + TIDY_SECONDS_MAX
    while problems := problems_of(cluster, jobs):
        assert time.monotonic() < deadline, "\n".join(problems)
        time.sleep(LOOK_SECONDS)  # files of other processes have no event here
    picture = picture_of(cluster)
    if instances is not None:
        assert len(picture.instances) == instances, picture.instances
    return picture


def assert_verified(cluster: DevCluster) -> None:
    """Have ``gnt-cluster verify`` look: it ends with 0 and finds no error."""
    assert "ERROR" not in cluster.run("gnt-cluster", "verify")
