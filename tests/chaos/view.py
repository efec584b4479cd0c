"""A cluster as it is at one moment, seen from outside: what it says, and what is on its nodes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import trio
from attrs import frozen
from tests.chaos.clients import Client
from tests.chaos.processes import is_guest, is_job
from tests.cluster.development import DevCluster
from tests.crash.jobs import paths_of

from gantry.cli.devcluster.entering import entered
from gantry.cli.devcluster.found import FoundProcess, processes_of
from gantry.core.config.reservations import Reservations
from gantry.core.locking.holdings import load_record, replay
from gantry.protocols.locks import LockState
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.objects.instance import Instance
from gantry.protocols.records import decode_log
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD, Invariant
from gantry.runtime.network import RealNetwork
from gantry.runtime.paths import Paths
from gantry.runtime.rpc import connect

LOOK_SECONDS_MAX = 30.0
"""For one look at the master's WConfD; longer means that it is not well."""

LOGS = ("config.log", "queue.journal")
"""What is replicated."""

LOG_MARK = "gantry-log"
"""How a log begins that has been started over: with what the record before its first one was."""

STORAGE = "srv/ganeti"
FOLDERS = ("file-storage", "shared-file-storage")
TAP_PREFIX = "gnt"

Place = tuple[str, str]
"""A node, and something there."""

SHARED = "shared"
"""Instead of a node, for what all of them see."""


@frozen
class JobSeen:
    """A job as LuxiD has it, archived ones too."""

    id: int
    status: str
    op_statuses: tuple[str, ...]
    ops: tuple[Mapping[str, object], ...]
    results: tuple[object, ...]
    archived: bool


@frozen
class View:
    """All that is looked at."""

    cluster: DevCluster
    configuration: Configuration
    invariants: tuple[Invariant, ...]
    locks: tuple[LockState, ...]
    reservations: Reservations
    jobs: Mapping[int, JobSeen]
    ends: Mapping[str, tuple[tuple[str, ...], ...]]
    """Where the replicated logs end, on each master candidate: indexes and checksums."""
    leading: frozenset[Place]
    """The nodes that have the master's daemons, and which."""
    fakes: Mapping[Place, str]
    """The states of the fake hypervisors' instances."""
    guests: tuple[tuple[str, FoundProcess], ...]
    """The QEMU processes of each node."""
    job_processes: tuple[FoundProcess, ...]
    disks: frozenset[Place]
    sockets: frozenset[Place]
    step_journals: frozenset[Place]
    taps: frozenset[Place]
    temporary: frozenset[Place]

    def home(self, instance: Instance) -> str:
        """Return the name of an instance's primary node."""
        return self.configuration.nodes[instance.primary_node].name


def look_at(cluster: DevCluster, client: Client) -> View:
    """Look at everything.

    Raises:
        CommandError, OSError, GantryError, trio.TooSlowError: the cluster does not answer.
    """
    configuration, invariants, locks = trio.run(told_by_wconfd, paths_of(cluster))
    fields = ["id", "status", "opstatus", "ops", "opresult", "archived"]
    rows = client.ask(lambda luxi: luxi.query_jobs(None, fields))
    names = [each.name for each in configuration.nodes.values() if each.master_candidate]
    paths = {node.name: paths_of(cluster, node.name) for node in cluster.layout.nodes}
    processes = processes_of(cluster.folder)
    return View(
        cluster,
        configuration,
        invariants,
        locks,
        _reservations(paths_of(cluster)),
        {job.id: job for row in rows for job in [_job(row)]},
        {name: tuple(_end(paths[name].data / log) for log in LOGS) for name in names},
        frozenset(_leading(cluster)),
        {
            (name, path.name): orjson.loads(path.read_bytes())["state"]
            for name, where in paths.items()
            for path in (where.run / "fake-hypervisor").glob("*")
        },
        tuple(_guests(cluster, processes)),
        tuple(each for each in processes if is_job(each)),
        frozenset(_disks(cluster)),
        frozenset((name, p.name) for name, where in paths.items() for p in where.sockets.glob("*")),
        frozenset(
            (name, p.name) for name, where in paths.items() for p in where.step_journals.glob("*")
        ),
        frozenset(_taps(cluster)),
        frozenset((n.name, str(p)) for n in cluster.layout.nodes for p in n.root.rglob("*.new")),
    )


async def told_by_wconfd(
    paths: Paths,
) -> tuple[Configuration, tuple[Invariant, ...], tuple[LockState, ...]]:
    """Return what the master's WConfD says.

    Raises:
        GantryError, OSError, trio.TooSlowError: it does not answer.
    """
    path = paths.socket(SOCKET_NAME)
    with trio.fail_after(LOOK_SECONDS_MAX):
        async with connect(WCONFD, RealNetwork(path.parent, ""), path) as wconfd:
            snapshot = await wconfd.snapshot()
            found = load_configuration(snapshot.configuration)
            return found, await wconfd.verify(), await wconfd.locks()


def _job(row: list[object]) -> JobSeen:
    match row:
        case [int() as job, str() as status, [*op_statuses], [*ops], [*results], archived]:
            told = tuple(map(str, op_statuses))
            opcodes = tuple(each for each in ops if isinstance(each, dict))
            return JobSeen(job, status, told, opcodes, tuple(results), bool(archived))
        case _:
            raise AssertionError(f"a job's fields {row}")


def _reservations(paths: Paths) -> Reservations:
    """Return what jobs have reserved, by the lock journal.

    What earlier reigns have left there is over. What is let go is written together with the next
    thing that is taken, so that this is a job behind.
    """
    path = paths.data / "locks.log"
    records = decode_log(path.read_bytes(), str(path)).records
    epoch = max(record.epoch for record in records)
    _, found = replay(load_record(each.payload) for each in records if each.epoch == epoch)
    return found


def _end(log: Path) -> tuple[str, str]:
    """Return index and checksum of a log's last whole record, or of the one before its first."""
    *lines, _ = log.read_text().split("\n")
    first, second, third, checksum, *_ = lines[-1].split(" ", 4)
    return (third if first == LOG_MARK else second), checksum


def _leading(cluster: DevCluster) -> Iterator[Place]:
    for status in cluster.status():
        if status.program in ("gantry-wconfd", "gantry-luxid") and status.pid is not None:
            yield status.node, status.program


def _guests(
    cluster: DevCluster, processes: tuple[FoundProcess, ...]
) -> Iterator[tuple[str, FoundProcess]]:
    nodes = {str(node.root): node.name for node in cluster.layout.nodes}
    yield from ((nodes[each.root], each) for each in processes if is_guest(each))


def _disks(cluster: DevCluster) -> Iterator[Place]:
    layout = cluster.layout
    roots = [(node.name, node.root / STORAGE / FOLDERS[0]) for node in layout.nodes]
    for name, root in [(SHARED, layout.shared_folder), *roots]:
        for path in root.rglob("*"):
            folder = FOLDERS[name == SHARED]
            yield name, f"/{STORAGE}/{folder}/{path.relative_to(root)}" + "/" * path.is_dir()


def _taps(cluster: DevCluster) -> Iterator[Place]:
    layout = cluster.layout
    for node in layout.nodes if layout.net == "netns" else ():
        shown = subprocess.run(
            entered(layout, node, ["ip", "-json", "link", "show"]), capture_output=True, check=True
        )
        for link in orjson.loads(shown.stdout):
            if link["ifname"].startswith(TAP_PREFIX):
                yield node.name, link["ifname"]
