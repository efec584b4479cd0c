"""Deliberate mistakes in the product: proof that the checks can fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

import trio
from attrs import evolve, frozen
from tests.simulation.scenario import Situation

from gantry.core import keys
from gantry.core.replication import leader, promotion, replica
from gantry.daemons.job import performer, stepping
from gantry.daemons.job.locking import LockTaker
from gantry.daemons.job.performer import Performer
from gantry.daemons.job.stepping import Stepper
from gantry.daemons.luxid import job_calls
from gantry.daemons.noded import calls, key_journal, replicas
from gantry.daemons.noded.disks import Disks
from gantry.daemons.noded.guests import Guests
from gantry.daemons.noded.master_address import ClusterAddress
from gantry.daemons.rconfd import replica as rconfd_replica
from gantry.daemons.wconfd.lock_store import LockStore
from gantry.operations.operation import Locks
from gantry.protocols.identity import JobId, Ticket
from gantry.protocols.locks import Level, LockOwner
from gantry.protocols.records import Index, Position, Record, decode_log
from gantry.protocols.replication import end_of
from gantry.protocols.steps import Done, Plan, Step
from gantry.runtime import environment
from gantry.runtime.commit_mark import CommitMark, read_mark


@frozen
class Mutation:
    """A mistake: names in the product that mean something else while it is made."""

    name: str
    changes: tuple[tuple[object, str, object], ...]
    seed: int | None = None
    """One that finds it; ``None``: it takes more than a quick test."""
    situation: Situation | None = None
    """What has to come about, if the usual faults seldom show it."""

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make it for the duration of a block."""
        with ExitStack() as stack:
            for place, name, instead in self.changes:
                stack.enter_context(patch.object(place, name, instead))
            yield


# --- what is done instead ------------------------------------------------------------------------


async def _nothing(*_: object, **__: object) -> None:
    await trio.lowlevel.checkpoint()


async def _nothing_left(*_: object) -> list[str]:
    await trio.lowlevel.checkpoint()
    return []


async def _append_only(file: environment.AppendFile, data: bytes) -> None:
    await file.append(data)


async def _append_to_new_only(
    files: environment.Files, path: Path, data: bytes, mode: int = 0o640
) -> environment.AppendFile:
    file = await files.append_to(path, mode)
    await file.append(data)
    return file


_take = LockTaker.take


async def _take_and_let_go(taker: LockTaker, wanted: Callable[[], Awaitable[Locks]]) -> None:
    await _take(taker, wanted)
    held = taker.held
    await taker.wconfd.call(lambda w: w.release(taker.owner, "instance"))
    taker.held = held


def _own_end(leading: leader.Leader) -> Index:
    return leading.end.index


def _none(*_: object) -> None:
    return None


_admit = keys.admit


def _admit_again(book: keys.KeyBook, ticket: Ticket) -> tuple[keys.KeyBook, keys.Decision]:
    """Act again under a key that was done before."""
    after, decision = _admit(book, ticket)
    if isinstance(decision, keys.Answer):
        begun = keys.Begun(ticket)
        return keys.apply(book, begun), keys.Begin(begun, (), book.entry(ticket.key))
    return after, decision


_written = replica._written


def _written_but_one(
    state: replica.Replica, place: Position, fresh: tuple[Record, ...]
) -> tuple[replica.Replica, tuple[replica.Effect, ...]]:
    """Forget the last of several records when a replica catches up."""
    after, effects = _written(state, place, fresh)
    *before, last = effects
    if isinstance(last, replica.Write) and len(last.records) > 1:
        last = replica.Write(last.records[:-1])
    return after, (*before, last)


def _drop_locks_only(store: LockStore, job: JobId) -> None:
    """Free the locks of a job that is over, and not what it has reserved."""
    kept = store.reservations
    _drop_job(store, job)
    store.reservations = kept


_drop_job = LockStore.drop_job


def _release_locks_only(store: LockStore, owner: LockOwner, level: Level | None) -> None:
    kept = store.reservations
    _release(store, owner, level)
    store.reservations = kept


_release = LockStore.release

_read_mark = read_mark


async def _read_to_the_end(files: environment.Files, path: Path) -> CommitMark | None:
    """Take everything in the log for committed."""
    mark = await _read_mark(files, path)
    if mark is None:
        return None
    log = await files.read(path.parent / rconfd_replica.CONFIG_LOG)
    try:
        end = end_of(decode_log(log).records[-1])
    except Exception:  # noqa: BLE001 - of a log that is being replaced the mark is taken
        return mark
    return evolve(mark, end=end) if end.index > mark.end.index else mark


def _everybody(*_: object) -> bool:
    return True


def _never(*_: object) -> bool:
    return False


async def _as_if_noted(*_: object, **__: object) -> bool:
    await trio.lowlevel.checkpoint()
    return True


async def _never_known(*_: object, **__: object) -> bool:
    await trio.lowlevel.checkpoint()
    return False


def _unchanged(book: keys.KeyBook, _: object) -> keys.KeyBook:
    return book


_did = Stepper._did


async def _did_if_begun(stepper: Stepper, plan: Plan, number: int, step: Step) -> bool:
    """Take what a process had begun when it died for done."""
    if number not in stepper.progress().started:
        return await _did(stepper, plan, number, step)
    stepper.performer.results[step.name] = None
    stepper.note(Done(stepper.opcode, number, None))
    return True


MUTATIONS: Final = (
    Mutation("jobs take no locks", ((LockTaker, "take", _nothing),), 1),
    Mutation("instances' locks are freed early", ((LockTaker, "take", _take_and_let_go),), 2),
    Mutation("nothing is undone", ((Stepper, "backwards", _nothing_left),), 3),
    Mutation(
        "committed changes count as never made", ((Performer, "has_committed", _never_known),), 1
    ),
    Mutation("NodeD forgets its keys with its life", ((key_journal, "apply", _unchanged),), 3),
    Mutation("a call is done again under its key", ((calls, "admit", _admit_again),), 1),
    Mutation("disks are not removed", ((Disks, "remove", _nothing),), 1),
    Mutation("instances are not stopped", ((Guests, "stop", _nothing),), 1),
    Mutation(
        "journals are not flushed",
        (
            (environment.AppendFile, "append_durably", _append_only),
            (environment.Files, "append_to_new", _append_to_new_only),
        ),
        3,
    ),
    Mutation("what is flushed here counts as replicated", ((leader, "_reached", _own_end),), 1),
    Mutation("a record is lost at catch-up", ((replica, "_written", _written_but_one),), 1),
    Mutation("one voter elects", ((promotion, "is_majority", _everybody),), 2),
    Mutation("what is submitted again is another job", ((job_calls, "sending_of", _none),), 3),
    Mutation("an old master keeps the address", ((ClusterAddress, "let_go", _nothing),), 1),
    Mutation("an old master's jobs go on", ((replicas, "end_job_processes", _nothing),), 1),
    Mutation(
        "what was begun counts as done", ((Stepper, "_did", _did_if_begun),), 1, "removal hounded"
    ),
    Mutation(
        "a new master does not give locks back",
        ((LockStore, "_give_back", _none),),
        1,
        "locked for long",
    ),
    Mutation(
        "reservations outlive their jobs",
        (
            (LockStore, "drop_job", _drop_locks_only),
            (LockStore, "release", _release_locks_only),
        ),
        1,
        "once more",
    ),
    Mutation(
        "left-overs are not noted",
        ((Performer, "note_leftover", _as_if_noted),),
        3,
        "node forsaken",
    ),
    Mutation(
        "ConfD answers from what is not committed",
        ((rconfd_replica, "read_mark", _read_to_the_end),),
        2,
        "two halves",
    ),
    Mutation(
        "steps act before it is known that they begin",
        (
            (stepping, "must_be_known", _never),
            (stepping, "changes", _never),
        ),
        1,
        "master lost",
    ),
)

UNNOTICED: Final = (
    # A step has one key in all attempts and reigns, and under that a node does it once, whoever
    # asks; and a job of an old master stands still before its next step, for want of the lease.
    Mutation("old attempts and epochs may act on nodes", ((keys, "_stale", _none),)),
    # What it goes on to ask is refused again, by nodes, WConfD and LuxiD, who know the newer one.
    Mutation("an attempt that is refused goes on", ((performer, "ENDS_ATTEMPT", ()),)),
    # Nothing counts without a majority, and nodes that know of the new reign refuse the old one:
    # the lease is in front of these, and of answers that are old by then, which nobody checks.
    Mutation(
        "the lease is ignored", ((leader.Leader, "lease_until", property(lambda _: float("inf"))),)
    ),
)
"""Those that no seed has caught: another line of defence stands behind each of them."""
