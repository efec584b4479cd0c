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
from tests.simulation.confd import expected_facts, facts_of
from tests.simulation.people import MARK, People
from tests.simulation.programs import ADDRESS
from tests.simulation.residue import (
    every_acknowledged_setting_is_there,
    every_acknowledged_tag_is_there_once,
    what_failed_left_nothing,
    what_failed_took_nothing,
)
from tests.simulation.statuses import statuses_follow_the_allowed_transitions

from gantry.core.locking.holdings import HoldingsRecord, load_record
from gantry.daemons.noded.replica_files import look
from gantry.protocols.codec import Json
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
DEFECT: Final = "its log has the traceback"
"""What a caller hears of an error that nobody has thought of."""

TEMPORARY: Final = ("ganeti-iallocator", ".new", ".tmp")

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
    commands: int
    """How many restricted commands it wants."""
    defects: tuple[str, ...]
    """What its opcodes say of defects of a daemon."""


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
    told: Mapping[str, Mapping[str, Json]]
    """What the RConfD of each master candidate answers: all instances of each node, and more."""
    last_job: int | None
    """The job after which nothing else happens; the lock journal was written with its locks."""


async def look_at(cluster: Cluster, people: People, last_job: int | None = None) -> View:
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
        fields = ("id", "status", "opstatus", "ops", "opresult")
        return await luxi.query_jobs(None, fields)

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
        {
            row[0]: JobSeen(
                row[0], row[1], tuple(row[2]), _mark(row[3]), _commands(row[3]), _defects(row[4])
            )
            for row in rows
        },
        await _ends(cluster, configuration),
        await _told(cluster, configuration),
        last_job,
    )


def _defects(results: list[Any]) -> tuple[str, ...]:
    return tuple(text for text in map(repr, results) if DEFECT in text)


def _commands(ops: list[Any]) -> int:
    return sum(op["OP_ID"] == "OP_RESTRICTED_COMMAND" for op in ops)


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


async def _told(cluster: Cluster, configuration: Configuration) -> Mapping[str, Mapping[str, Json]]:
    told: dict[str, Mapping[str, Json]] = {}
    for node in sorted(configuration.nodes.values(), key=lambda each: each.name):
        if node.master_candidate and not node.offline:
            told[node.name] = await facts_of(cluster, node.name, configuration)
    return told


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


def no_job_met_a_defect(view: View) -> Iterator[str]:
    """Find jobs that failed because a daemon did something that nobody has thought of."""
    for seen in view.jobs.values():
        yield from (f"job {seen.id} ended with {text[:300]}" for text in seen.defects)


def what_was_told_is_still_so(view: View) -> Iterator[str]:
    """Find jobs whose statuses can not be, or not after those that were told: ends stay ends."""
    for seen in view.jobs.values():
        told = view.people.jobs.get(seen.id)
        before = (told.statuses[-1], told.op_statuses) if told and told.statuses else None
        after = (seen.status, seen.op_statuses)
        for wrong in statuses_follow_the_allowed_transitions(before, after):
            yield f"job {seen.id} {wrong}"


def no_submission_counts_twice(view: View) -> Iterator[str]:
    """Find submissions of which a repetition became a second job."""
    marks = Counter(seen.mark for seen in view.jobs.values() if seen.mark)
    yield from (f"submission {mark} became {n} jobs" for mark, n in marks.items() if n > 1)


def no_lock_is_left(view: View) -> Iterator[str]:
    """Find locks that are held or waited for although every job is over."""
    for lock in view.locks:
        yield f"lock {lock.name} is held by {lock.owners}, wanted by {lock.waits}"


def nothing_is_held_in_the_lock_journal(view: View) -> Iterator[str]:
    """Find locks and reservations of jobs that are over in the file that survives a restart.

    What is let go is written with the next thing that is held; so a last job takes locks, and
    is the only one that may be found. What is left of earlier reigns counts for nothing.
    """
    if view.last_job is None:
        return
    files = view.cluster.master_node.machine.disk
    holding: dict[JobId, tuple[int, int]] = {}
    records = decode_log(files.content(LOCK_LOG), str(LOCK_LOG)).records
    for record in records:
        if record.epoch != records[-1].epoch:
            continue
        said: HoldingsRecord = load_record(record.payload)
        if said.complete:
            holding.clear()
        holding.update({each.job: (len(each.locks), len(each.reserved)) for each in said.jobs})
        for job in said.gone:
            holding.pop(job, None)
    for job, (locks, reservations) in holding.items():
        if job != view.last_job and locks + reservations:
            yield f"job {job} is over and has {locks} locks and {reservations} reservations"


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


def what_was_left_over_is_cleaned_up(view: View) -> Iterator[str]:
    """Find left-overs although their nodes are back and were asked to clean up."""
    for left in view.configuration.leftovers.values():
        yield f"{left.object_kind} {left.object_name} is left over: {left.reason}"


def the_address_is_where_the_master_is(view: View) -> Iterator[str]:
    """Find the cluster's address elsewhere than on the master; people may have taken it down."""
    for node in view.cluster.nodes.values():
        files = node.machine.mounts.at(ADDRESS)
        if ADDRESS in files.paths() and node.name != view.cluster.master:
            yield f"{node.name} has the cluster's address"


def confd_answers_what_is_so(view: View) -> Iterator[str]:
    """Find master candidates whose RConfD answers something else than the configuration says."""
    expected = expected_facts(view.configuration)
    for name, facts in view.told.items():
        for question, answer in expected.items():
            if facts.get(question) != answer:
                yield f"{name} answers {question} with {facts.get(question)!r}, not {answer!r}"


def what_is_done_once_was_not_done_twice(view: View) -> Iterator[str]:
    """Find restricted commands that were run more often than jobs wanted, and people allowed."""
    wanted = sum(seen.commands for seen in view.jobs.values())
    archived = sum(1 for told in view.people.jobs.values() if told.id not in view.jobs)
    allowed = wanted + archived + view.people.redone
    ran = view.cluster.scripts.commands
    if ran > allowed:
        yield f"{ran} commands were run, {wanted} wanted, {view.people.redone} allowed again"


def no_temporary_file_is_left(view: View) -> Iterator[str]:
    """Find what jobs and daemons make for a moment: allocators' files, unfinished writes."""
    for node in view.cluster.nodes.values():
        for files in {id(each): each for each in node.machine.mounts.mounted.values()}.values():
            for path in files.paths():
                if any(mark in str(path) for mark in TEMPORARY):
                    yield f"{node.name} has {path}"


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
    no_job_met_a_defect,
    what_was_told_is_still_so,
    every_acknowledged_tag_is_there_once,
    every_acknowledged_setting_is_there,
    what_failed_left_nothing,
    what_failed_took_nothing,
    no_submission_counts_twice,
    what_is_done_once_was_not_done_twice,
    no_lock_is_left,
    nothing_is_held_in_the_lock_journal,
    instances_run_where_they_should,
    every_disk_has_an_owner,
    what_was_left_over_is_cleaned_up,
    no_process_or_socket_is_left,
    no_temporary_file_is_left,
    the_address_is_where_the_master_is,
    the_configuration_is_sound,
    confd_answers_what_is_so,
    replicas_have_converged,
    one_node_leads,
)


def problems(view: View) -> list[str]:
    """Return everything that is wrong."""
    return [f"{check.__name__}: {text}" for check in CHECKS for text in check(view)]
