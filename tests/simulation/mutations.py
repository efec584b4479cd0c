"""Deliberate mistakes in the product: proof that the checks can fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

import trio
from attrs import evolve, frozen

from gantry.core import keys
from gantry.core.replication import leader, promotion, replica
from gantry.daemons.job import performer, stepping
from gantry.daemons.job.locking import LockTaker
from gantry.daemons.job.stepping import Stepper
from gantry.daemons.noded import calls
from gantry.daemons.noded.disks import Disks
from gantry.daemons.rconfd import replica as rconfd_replica
from gantry.daemons.wconfd.lock_store import LockStore
from gantry.operations.operation import Locks
from gantry.protocols.identity import JobId, Ticket
from gantry.protocols.locks import Level, LockOwner
from gantry.protocols.records import Index, Position, Record, decode_log
from gantry.protocols.replication import end_of
from gantry.runtime import environment
from gantry.runtime.commit_mark import CommitMark, read_mark


@frozen
class Mutation:
    """A mistake: names in the product that mean something else while it is made."""

    name: str
    changes: tuple[tuple[object, str, object], ...]
    seed: int | None = None
    """One that finds it; ``None``: it takes more than a quick test."""

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


def _not_stale(*_: object) -> None:
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


MUTATIONS: Final = (
    Mutation("jobs take no locks", ((LockTaker, "take", _nothing),), 2),
    Mutation("instances' locks are freed early", ((LockTaker, "take", _take_and_let_go),)),
    Mutation("nothing is undone", ((Stepper, "backwards", _nothing_left),), 21),
    Mutation("disks are not removed", ((Disks, "remove", _nothing),), 4),
    Mutation(
        "journals are not flushed",
        (
            (environment.AppendFile, "append_durably", _append_only),
            (environment.Files, "append_to_new", _append_to_new_only),
        ),
    ),
    Mutation("what is flushed here counts as replicated", ((leader, "_reached", _own_end),)),
    Mutation(
        "reservations outlive their jobs",
        (
            (LockStore, "drop_job", _drop_locks_only),
            (LockStore, "release", _release_locks_only),
        ),
    ),
    Mutation("old attempts and epochs may act on nodes", ((keys, "_stale", _not_stale),)),
    Mutation("a call is done again under its key", ((calls, "admit", _admit_again),)),
    Mutation("a record is lost at catch-up", ((replica, "_written", _written_but_one),)),
    Mutation(
        "ConfD answers from what is not committed",
        ((rconfd_replica, "read_mark", _read_to_the_end),),
    ),
    Mutation(
        "the lease is ignored", ((leader.Leader, "lease_until", property(lambda _: float("inf"))),)
    ),
    Mutation("one voter elects", ((promotion, "is_majority", _everybody),)),
    Mutation("an attempt that is refused goes on", ((performer, "ENDS_ATTEMPT", ()),)),
    Mutation(
        "steps act before it is known that they begin",
        (
            (stepping, "must_be_known", _never),
            (stepping, "changes", _never),
        ),
    ),
)
