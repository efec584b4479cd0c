"""What must hold when everything is mended and the cluster had time to settle.

Each check is a function that returns what is wrong, one sentence for each thing. Some of what is
checked is seen while it happens, and is in :attr:`Cluster.failures`: two processes of one job,
two scripts on one instance, a status that goes backwards, a job that is lost, a daemon that fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from tests.simulation.cluster import FINAL, SHARED, Cluster
from tests.simulation.people import MARK, People

from gantry.core.locking.holdings import HoldingsRecord, load_record
from gantry.daemons.noded.replica_files import look
from gantry.protocols.identity import Epoch, JobId
from gantry.protocols.locks import LockState
from gantry.protocols.luxi import Luxi
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.objects.disk import FileId
from gantry.protocols.records import decode_log
from gantry.protocols.replication import STREAMS
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD, Invariant
from gantry.runtime.environment import Environment
from gantry.runtime.rpc import connect
from gantry.runtime.testing.files import MemoryFiles
from gantry.runtime.testing.machine import PATHS

FILE_STORAGE: Final = Path("/srv/ganeti/file-storage")
FAKES: Final = Path("/var/run/ganeti/fake-hypervisor")
OWN_REASONS: Final = 2
"""How many entries the reason of a job has that people submitted."""

LOCK_LOG: Final = PATHS.data / "locks.log"


@frozen
class JobSeen:
    """A job as LuxiD has it."""

    id: int
    status: str
    op_statuses: tuple[str, ...]
    mark: str
    """Of its submission; empty if the people here did not submit it."""


@frozen
class View:
    """The cluster as it is at one moment, seen from inside and outside."""

    cluster: Cluster
    people: People
    configuration: Configuration
    invariants: tuple[Invariant, ...]
    locks: tuple[LockState, ...]
    jobs: Mapping[int, JobSeen]
    ends: Mapping[str, tuple[object, ...]]
    """Where the logs of both streams end, on each node that has replicas."""


async def look_at(cluster: Cluster, people: People) -> View:
    """Look at everything.

    Raises:
        Gone, GantryError, OSError, trio.TooSlowError: the cluster does not answer.
    """
    told: list[tuple[dict[str, object], tuple[Invariant, ...], tuple[LockState, ...]]] = []

    async def ask(env: Environment) -> None:
        async with connect(WCONFD, env.network, env.paths.socket(SOCKET_NAME)) as wconfd:
            snapshot = await wconfd.snapshot()
            told.append((dict(snapshot.configuration), await wconfd.verify(), await wconfd.locks()))

    async def jobs(luxi: Luxi) -> object:
        return await luxi.query_jobs(None, ("id", "status", "opstatus", "ops"))

    await cluster.command(cluster.master, "check", ask)
    rows = await cluster.luxi(jobs)
    assert isinstance(rows, list)
    raw, invariants, locks = told[0]
    configuration = load_configuration(raw)
    return View(
        cluster,
        people,
        configuration,
        invariants,
        locks,
        {row[0]: JobSeen(row[0], row[1], tuple(row[2]), _mark(row[3])) for row in rows},
        await _ends(cluster, configuration),
    )


def _mark(ops: list[Any]) -> str:
    """Return what the people wrote into the reason of a job's first opcode."""
    reasons = ops[0].get("reason", ())
    # LuxiD adds one entry; jobs that a job submits have those of that job before their own.
    own = len(reasons) == OWN_REASONS and reasons[0][0] == MARK
    return str(reasons[0][1]) if own else ""


async def _ends(cluster: Cluster, configuration: Configuration) -> Mapping[str, tuple[object, ...]]:
    ends: dict[str, tuple[object, ...]] = {}
    for node in sorted(configuration.nodes.values(), key=lambda each: each.name):
        if not node.master_candidate or node.offline:
            continue

        async def ask(env: Environment, name: str = node.name) -> None:
            looked = [await look(env, stream, Epoch(1)) for stream in STREAMS]
            ends[name] = tuple(each.replica.end.position for each in looked)

        await cluster.command(node.name, "check", ask)
    return ends


# --- the checks ----------------------------------------------------------------------------------


def every_acknowledged_job_is_over(view: View) -> Iterator[str]:
    """Find jobs that were acknowledged and are not there, or do not come to their end."""
    for told in view.people.jobs.values():
        seen = view.jobs.get(told.id)
        if seen is None and not told.archived:
            yield f"job {told.id} was acknowledged and is not there"
        elif seen is not None and seen.status not in FINAL:
            yield f"job {told.id} is {seen.status} for ever"
    for seen in view.jobs.values():
        if seen.status not in FINAL and seen.id not in view.people.jobs:
            yield f"job {seen.id}, which nobody was told of, is {seen.status} for ever"


def what_was_told_is_still_so(view: View) -> Iterator[str]:
    """Find jobs whose final status is another one than was told."""
    for told in view.people.jobs.values():
        seen = view.jobs.get(told.id)
        if seen is not None and told.is_over and seen.status != told.statuses[-1]:
            yield f"job {told.id} was told to be {told.statuses[-1]} and is {seen.status}"


def _tags(configuration: Configuration) -> Counter[str]:
    objects = [
        configuration.cluster,
        *configuration.nodes.values(),
        *configuration.instances.values(),
        *configuration.nodegroups.values(),
    ]
    return Counter(tag for each in objects for tag in each.tags)


def every_acknowledged_tag_is_there_once(view: View) -> Iterator[str]:
    """Find tags that were added by a job that succeeded and are gone, or left by one that did not.

    Each tag is added by one job, to the cluster or to something that may be removed since.
    """
    there = _tags(view.configuration)
    removed = {
        str(tag)
        for told in view.people.jobs.values()
        for op in told.ops
        if op["OP_ID"] == "OP_TAGS_DEL" and isinstance(op["tags"], list)
        for tag in op["tags"]
    }
    for tag, count in there.items():
        if count != 1:
            yield f"{tag} is there {count} times"
    for told in view.people.jobs.values():
        seen = view.jobs.get(told.id)
        if seen is None:
            continue
        for op, status in zip(told.ops, seen.op_statuses, strict=True):
            if op["OP_ID"] != "OP_TAGS_SET" or not isinstance(op["tags"], list):
                continue
            for tag in map(str, op["tags"]):
                lost = status == "success" and op["kind"] == "cluster" and tag not in removed
                if lost and not there[tag]:
                    yield f"job {told.id} added {tag}, and it is gone"
                if status != "success" and there[tag] and not told.again:
                    yield f"job {told.id} ended as {status}, and {tag} is there"


def what_failed_left_nothing(view: View) -> Iterator[str]:
    """Find instances and groups that a job failed to add; each has a name of its own."""
    made = {
        "OP_INSTANCE_CREATE": (
            "instance_name",
            {i.name for i in view.configuration.instances.values()},
        ),
        "OP_GROUP_ADD": ("group_name", {g.name for g in view.configuration.nodegroups.values()}),
    }
    for told in view.people.jobs.values():
        seen = view.jobs.get(told.id)
        for op, status in zip(told.ops, seen.op_statuses if seen else (), strict=False):
            parameter, there = made.get(str(op["OP_ID"]), ("", set[str]()))
            failed = status in ("error", "canceled") and not told.again
            if parameter and failed and op[parameter] in there:
                yield f"job {told.id} ended as {status}, and {op[parameter]} is there"


def no_submission_counts_twice(view: View) -> Iterator[str]:
    """Find submissions of which a repetition became a second job."""
    marks = Counter(seen.mark for seen in view.jobs.values() if seen.mark)
    yield from (f"submission {mark} became {n} jobs" for mark, n in marks.items() if n > 1)


def no_lock_is_left(view: View) -> Iterator[str]:
    """Find locks that are held or waited for although every job is over."""
    for lock in view.locks:
        yield f"lock {lock.name} is held by {lock.owners}, wanted by {lock.waits}"


def no_reservation_is_left(view: View) -> Iterator[str]:
    """Find reservations in the lock journal although every job is over."""
    files = view.cluster.master_node.machine.disk
    holding: dict[JobId, int] = {}
    for record in decode_log(files.content(LOCK_LOG), str(LOCK_LOG)).records:
        said: HoldingsRecord = load_record(record.payload)
        if said.complete:
            holding.clear()
        holding.update({each.job: len(each.reserved) for each in said.jobs})
        for job in said.gone:
            holding.pop(job, None)
    over = {job for job, seen in view.jobs.items() if seen.status in FINAL}
    living = {lock.owners for lock in view.locks}
    for job, count in holding.items():
        if count and job in over and living:
            yield f"job {job} is over and has {count} reservations"


def instances_run_where_they_should(view: View) -> Iterator[str]:
    """Find instances that run elsewhere, nowhere, twice, or belong to nothing."""
    nodes = view.configuration.nodes
    wanted = {
        (nodes[each.primary_node].name, each.name)
        for each in view.configuration.instances.values()
        if each.admin_state == "up"
    }
    running = {
        (node.name, path.name)
        for node in view.cluster.nodes.values()
        for path in _below(node.machine.mounts.at(FAKES), FAKES)
    }
    yield from (f"{name} runs on {node}" for node, name in sorted(running - wanted))
    yield from (f"{name} does not run on {node}" for node, name in sorted(wanted - running))


def _below(files: MemoryFiles, folder: Path) -> list[Path]:
    return [path for path in files.paths() if folder in path.parents]


def every_disk_has_an_owner(view: View) -> Iterator[str]:
    """Find disks of nothing, and instances without theirs."""
    found = {
        (node.name, path)
        for node in view.cluster.nodes.values()
        for path in _below(node.machine.disk, FILE_STORAGE)
    }
    found |= {("shared", path) for path in _below(view.cluster.shared, SHARED)}
    wanted = set()
    for instance in view.configuration.instances.values():
        for uuid in instance.disks:
            where = view.configuration.disks[uuid].logical_id
            if isinstance(where, FileId):
                path = Path(where.path)
                shared = SHARED in path.parents
                node = view.configuration.nodes[instance.primary_node].name
                wanted.add(("shared" if shared else node, path))
    yield from (
        f"disk {path} on {node} belongs to nothing" for node, path in sorted(found - wanted)
    )
    yield from (f"disk {path} on {node} is missing" for node, path in sorted(wanted - found))


def no_process_or_socket_is_left(view: View) -> Iterator[str]:
    """Find job processes, their sockets and step journals although every job is over."""
    for node in view.cluster.nodes.values():
        for process in node.machine.processes.values():
            if process.program.startswith("job-"):
                yield f"{process.name} lives"
        sockets = node.machine.mounts.at(PATHS.sockets)
        for path in _below(sockets, PATHS.sockets):
            if path.name.startswith("job-"):
                yield f"{node.name} has the socket {path}"
        if node.name == view.cluster.master:
            for path in _below(node.machine.disk, PATHS.step_journals):
                yield f"{node.name} has the step journal {path}"


def the_configuration_is_sound(view: View) -> Iterator[str]:
    """Find broken invariants: names, MACs, IPs, minors that are not unique, dead references."""
    for invariant in view.invariants:
        yield f"the configuration is wrong: {invariant.text}"


def replicas_have_converged(view: View) -> Iterator[str]:
    """Find candidates whose logs end elsewhere than the master's."""
    ours = view.ends[view.cluster.master]
    for name, ends in view.ends.items():
        if ends != ours:
            yield f"the replicas of {name} end at {ends}, the master's at {ours}"


def one_node_leads(view: View) -> Iterator[str]:
    """Find master daemons elsewhere than on the master."""
    for node in view.cluster.nodes.values():
        for unit in ("wconfd", "luxid"):
            runs = node.services.process(unit) is not None
            if runs != (node.name == view.cluster.master):
                yield f"{unit} {'runs' if runs else 'does not run'} on {node.name}"


Check = Callable[[View], Iterator[str]]

CHECKS: Final[tuple[Check, ...]] = (
    every_acknowledged_job_is_over,
    what_was_told_is_still_so,
    every_acknowledged_tag_is_there_once,
    what_failed_left_nothing,
    no_submission_counts_twice,
    no_lock_is_left,
    no_reservation_is_left,
    instances_run_where_they_should,
    every_disk_has_an_owner,
    no_process_or_socket_is_left,
    the_configuration_is_sound,
    replicas_have_converged,
    one_node_leads,
)


def problems(view: View) -> list[str]:
    """Return everything that is wrong."""
    return [f"{check.__name__}: {text}" for check in CHECKS for text in check(view)]
