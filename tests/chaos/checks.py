"""What must hold once everything is well again, seen from outside.

Each check returns what is wrong, one sentence for each thing. The names are those of the same
checks of the simulation. What is seen while it happens is in ``statuses.py`` (what a job's
statuses may become) and ``onlooker.py``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import trio
from attrs import frozen
from tests.chaos import guests
from tests.chaos.belongings import Belongings, OwnInstance
from tests.chaos.clients import Client
from tests.chaos.people import NOTHING_UNDONE, Crowd
from tests.chaos.processes import name_of
from tests.chaos.view import SHARED, View, look_at
from tests.crash.jobs import full

from gantry.cli.errors import CommandError
from gantry.cli.jobs import FINAL
from gantry.protocols.errors import GantryError
from gantry.protocols.objects.disk import FileId
from gantry.protocols.objects.instance import Instance

SETTLE_SECONDS_MAX = 150.0
"""Nodes that came back are found again, jobs that were interrupted end, left-overs are removed."""

PROBLEMS_MAX = 40
"""More of them say nothing more."""

LOOK_SECONDS = 1.0
OWN_REASONS: Final = 2
"""How many entries the reason of a job has that people submitted over LUXI."""

MARK: Final = "chaos"
DAEMONS: Final = {"gantry-wconfd", "gantry-luxid"}


@frozen
class Seen:
    """The cluster, and what people know of it."""

    view: View
    crowd: Crowd

    @property
    def owners(self) -> Iterator[Belongings]:
        """What everybody has."""
        return (person.wishing.own for person in self.crowd.people)

    @property
    def doubtful(self) -> set[str]:
        """The instances of which some job has said that a person must look."""
        own = {full(n) for own in self.owners for n, each in own.instances.items() if each.doubtful}
        named = {
            str(op.get("instance_name"))
            for job in self.view.jobs.values()
            if NOTHING_UNDONE in str(job.results)
            for op in job.ops
        }
        return own | named


# --- jobs ----------------------------------------------------------------------------------------


def every_acknowledged_job_is_over(seen: Seen) -> Iterator[str]:
    """Find jobs that were acknowledged and are not there, or do not come to their end."""
    for told in seen.crowd.ended:
        if told.id not in seen.view.jobs:
            yield f"job {told.id} was acknowledged and is not there"
    for job in seen.view.jobs.values():
        if job.status not in FINAL:
            yield f"job {job.id} is {job.status} for ever"


def what_was_told_is_still_so(seen: Seen) -> Iterator[str]:
    """Find jobs that have ended otherwise than was told."""
    for told in seen.crowd.ended:
        job = seen.view.jobs.get(told.id)
        if job is not None and (job.status, job.op_statuses) != (told.status, told.op_statuses):
            yield f"job {told.id} was told to be {told.status} and is {job.status}"


def no_submission_counts_twice(seen: Seen) -> Iterator[str]:
    """Find submissions over LUXI of which a repetition became a second job."""
    marks: Counter[str] = Counter()
    for job in seen.view.jobs.values():
        reasons = job.ops[0].get("reason")
        if isinstance(reasons, list) and len(reasons) == OWN_REASONS and reasons[0][0] == MARK:
            marks[str(reasons[0])] += 1
    yield from (f"submission {mark} became {n} jobs" for mark, n in marks.items() if n > 1)


# --- configuration -------------------------------------------------------------------------------


def every_acknowledged_tag_is_there_once(seen: Seen) -> Iterator[str]:
    """Find tags of the cluster that are gone, or there although no job that succeeded added them.

    What is a set in the configuration is a list in the answer of a query: both are looked at.
    """
    there = set(seen.view.configuration.cluster.tags)
    known = {tag for own in seen.owners for tag in own.cluster_tags}
    unsure = {tag for own in seen.owners for tag in own.unsure_tags}
    yield from (f"tag {tag} of the cluster is gone" for tag in sorted(known - there))
    yield from (f"nobody has added tag {tag}" for tag in sorted(there - known - unsure))


def instances_are_as_their_owners_left_them(seen: Seen) -> Iterator[str]:
    """Find instances that are gone, were never made, or differ from what jobs have made of them.

    A job that failed has left what was there before.
    """
    found = {each.name: each for each in seen.view.configuration.instances.values()}
    known = {full(name): each for own in seen.owners for name, each in own.instances.items()}
    doubtful = seen.doubtful
    for name in sorted(known.keys() - found.keys() - doubtful):
        yield f"instance {name} is gone"
    for name in sorted(found.keys() - known.keys() - doubtful):
        yield f"instance {name} was never made, or has been removed"
    for name in sorted(known.keys() & found.keys() - doubtful):
        if (is_now := _left(seen, found[name])) != (should_be := _wanted(known[name])):
            yield f"instance {name} is {is_now}, not {should_be}"


def _left(seen: Seen, instance: Instance) -> tuple[object, ...]:
    disks = [seen.view.configuration.disks[uuid].dev_type for uuid in instance.disks]
    template = disks[0] if disks else "diskless"
    memory = instance.beparams.get("maxmem")
    return template, instance.admin_state == "up", memory, sorted(instance.tags)


def _wanted(own: OwnInstance) -> tuple[object, ...]:
    return own.template, own.runs, own.memory_mib, sorted(own.tags)


def groups_and_networks_are_as_their_owners_left_them(seen: Seen) -> Iterator[str]:
    """Find node groups and networks that are gone, were never made, or are not as they should."""
    groups = {
        each.name: (each.ndparams.get("spindle_count"), sorted(each.tags))
        for each in seen.view.configuration.nodegroups.values()
        if each.name != "default"
    }
    wanted = {
        name: (each.spindles, sorted(each.tags))
        for own in seen.owners
        for name, each in own.groups.items()
    }
    if groups != wanted:
        yield f"the node groups are {groups}, not {wanted}"
    connected = {
        uuid for each in seen.view.configuration.nodegroups.values() for uuid in each.networks
    }
    networks = {
        each.name: (each.uuid in connected, sorted(each.tags))
        for each in seen.view.configuration.networks.values()
    }
    known = {
        name: (each.connected, sorted(each.tags))
        for own in seen.owners
        for name, each in own.networks.items()
    }
    if networks != known:
        yield f"the networks are {networks}, not {known}"


def the_configuration_is_sound(seen: Seen) -> Iterator[str]:
    """Find broken invariants: names, MACs, IPs, minors that are not unique, dead references."""
    for invariant in seen.view.invariants:
        yield f"the configuration is wrong: {invariant.text}"


def every_address_has_an_owner(seen: Seen) -> Iterator[str]:
    """Find networks that have given out other addresses than instances have."""
    for network in seen.view.configuration.networks.values():
        taken = (network.reservations or "").count("1")
        nics = [
            nic
            for instance in seen.view.configuration.instances.values()
            for nic in instance.nics
            if nic.network == network.uuid and nic.ip is not None
        ]
        if taken != len(nics):
            yield f"network {network.name} has given out {taken} addresses, {len(nics)} are used"


# --- what jobs hold ------------------------------------------------------------------------------


def no_lock_is_left(seen: Seen) -> Iterator[str]:
    """Find locks that are held or waited for although every job is over."""
    for lock in seen.view.locks:
        yield f"lock {lock.name} is held by {lock.owners}, wanted by {lock.waits}"


def no_reservation_is_left(seen: Seen) -> Iterator[str]:
    """Find reservations in the lock journal of jobs that are over."""
    for claim, job in seen.view.reservations.holders.items():
        yield f"job {job} has reserved {claim.value}"


def no_process_or_socket_is_left(seen: Seen) -> Iterator[str]:
    """Find job processes, their sockets and step journals, and half-written files."""
    view = seen.view
    for process in view.job_processes:
        yield f"process {process.pid} {process.command} lives"
    for node, socket in sorted(view.sockets):
        if socket.startswith("job-"):
            yield f"{node} has the socket {socket}"
    for node, journal in sorted(view.step_journals):
        if node == view.cluster.master.name:
            yield f"{node} has the step journal {journal}"
    for node, path in sorted(view.temporary):
        yield f"{node} has the temporary file {path}"


# --- nodes ---------------------------------------------------------------------------------------


def instances_run_where_they_should(seen: Seen) -> Iterator[str]:
    """Find instances that run elsewhere, nowhere, twice, or belong to nothing."""
    view = seen.view
    wanted = Counter(
        (view.home(each), each.name)
        for each in view.configuration.instances.values()
        if each.admin_state == "up"
    )
    running = Counter(
        [*view.fakes.keys(), *((node, name_of(process)) for node, process in view.guests)]
    )
    for node, name in sorted((running - wanted).keys()):
        yield f"{name} runs on {node}, {running[node, name]} times"
    for node, name in sorted((wanted - running).keys()):
        yield f"{name} does not run on {node}"
    for (node, name), state in sorted(view.fakes.items()):
        if state != "running":
            yield f"{name} on {node} is {state}"


def guests_are_what_the_configuration_says(seen: Seen) -> Iterator[str]:
    """Find QEMU processes with other disks, MACs or taps, or which do not run."""
    yield from guests.differences(seen.view)


def every_disk_has_an_owner(seen: Seen) -> Iterator[str]:
    """Find disks of nothing, and instances without theirs."""
    view = seen.view
    wanted = set()
    for instance in view.configuration.instances.values():
        for uuid in instance.disks:
            disk = view.configuration.disks[uuid]
            if isinstance(disk.logical_id, FileId):
                shared = disk.dev_type == "sharedfile"
                wanted.add((SHARED if shared else view.home(instance), disk.logical_id.path))
    folders = {(node, f"{path.rpartition('/')[0]}/") for node, path in wanted}
    for node, path in sorted(view.disks - wanted - folders):
        yield f"disk {path} on {node} belongs to nothing"
    for node, path in sorted(wanted - view.disks):
        yield f"disk {path} on {node} is missing"


def nothing_is_to_be_cleaned_up(seen: Seen) -> Iterator[str]:
    """Find what jobs had to leave on nodes that have been back for long."""
    for left in seen.view.configuration.leftovers.values():
        yield f"left: {left.object_kind} {left.object_name}: {left.reason}"


def replicas_have_converged(seen: Seen) -> Iterator[str]:
    """Find master candidates whose logs end elsewhere than the master's."""
    ends = seen.view.ends
    ours = ends[seen.view.cluster.master.name]
    for name, there in ends.items():
        if there != ours:
            yield f"the replicas of {name} end at {there}, the master's at {ours}"


def one_node_leads(seen: Seen) -> Iterator[str]:
    """Find master daemons elsewhere than on the master."""
    master = seen.view.cluster.master.name
    for node, program in sorted(seen.view.leading ^ {(master, program) for program in DAEMONS}):
        yield f"{program} on {node}, where {master} leads"


Check = Callable[[Seen], Iterator[str]]

CHECKS: Final[tuple[Check, ...]] = (
    every_acknowledged_job_is_over,
    what_was_told_is_still_so,
    no_submission_counts_twice,
    every_acknowledged_tag_is_there_once,
    instances_are_as_their_owners_left_them,
    groups_and_networks_are_as_their_owners_left_them,
    the_configuration_is_sound,
    every_address_has_an_owner,
    no_lock_is_left,
    no_reservation_is_left,
    no_process_or_socket_is_left,
    instances_run_where_they_should,
    guests_are_what_the_configuration_says,
    every_disk_has_an_owner,
    nothing_is_to_be_cleaned_up,
    replicas_have_converged,
    one_node_leads,
)


def problems(seen: Seen) -> list[str]:
    """Return everything that is wrong."""
    return [f"{check.__name__}: {text}" for check in CHECKS for text in check(seen)]


def _given_up(view: View | None) -> Iterator[str]:
    """Name the jobs that have told a person to look after what they could not finish or undo."""
    for job in () if view is None else view.jobs.values():
        if NOTHING_UNDONE in str(job.results):
            yield f"job {job.id} has given up: {job.results}"


def settled(crowd: Crowd, client: Client, care: Callable[[View], object]) -> None:
    """Wait until nothing is wrong any more.

    ``care`` does what a person, or their watcher, has to do about what it sees.

    Raises:
        AssertionError: something stays wrong.
    """
    deadline, view = time.monotonic() + SETTLE_SECONDS_MAX, None
    while True:
        try:
            view = look_at(crowd.cluster, client)
        except (CommandError, GantryError, OSError, trio.TooSlowError) as error:
            found = [f"the cluster does not answer: {error!r}"]
        else:
            care(view)
            found = problems(Seen(view, crowd))
        if not found:
            return
        assert time.monotonic() < deadline, "\n".join([*found[:PROBLEMS_MAX], *_given_up(view)])
        time.sleep(LOOK_SECONDS)  # files and answers of other processes have no event here
