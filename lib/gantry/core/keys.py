"""What a node did under which key: doing something again does nothing.

A key book is an immutable value. :func:`admit` decides what happens to a call that carries a
ticket, :func:`finish` and :func:`abort` say how a call ended, :func:`apply` replays the records
that these have made. The states of a key::

    (none) --admit--> running --finish--> done | failed
                         |                    | admit with redo
                         +--abort, restart--> interrupted --admit with redo--> running

A call of a done or failed key is answered from the book, one of a running key is attached to
the call in flight, one of an interrupted key is told so: only the caller knows whether it may be
done again. See replication.md, "Keys", in ``doc/design``.
"""

from __future__ import annotations

from typing import Final, Literal, cast

from attrs import evolve, field, frozen
from immutables import Map

from gantry.protocols.codec import Json, Malformed, dump, load
from gantry.protocols.errors import Fault, KeyConflict, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, Ticket
from gantry.protocols.noded import Interrupted, Missing, NothingToUndo, StepFailed

Failure = StepFailed | Missing | Fault
"""The errors that are the outcome of a call: a repeat fails in the same way."""

Refusal = StaleAttempt | StaleEpoch | KeyConflict | Interrupted | NothingToUndo

FORGOTTEN_JOBS_MAX: Final = 10_000
"""How many ended jobs are remembered, so that a straggler's call is not taken for a new one;
the older half is dropped when there are more."""

FIRST_EPOCH: Final = Epoch(1)
FIRST_ATTEMPT: Final = Attempt(1)


# --- records -------------------------------------------------------------------------------------


@frozen
class Begun:
    """A call is about to act."""

    ticket: Ticket


@frozen
class Finished:
    """A call has acted; this is its result in JSON form."""

    key: Key
    result: Json


@frozen
class Failed:
    """A call has failed."""

    key: Key
    failure: Failure


@frozen
class Forgotten:
    """A job's final record is committed: nobody asks for its keys any more."""

    job: JobId


@frozen
class EpochSeen:
    """A master of a newer epoch has spoken."""

    epoch: Epoch


@frozen
class AttemptSeen:
    """A newer attempt of a job has asked for something that did not have to be begun."""

    job: JobId
    attempt: Attempt


KeyRecord = Begun | Finished | Failed | Forgotten | EpochSeen | AttemptSeen


def dump_record(record: KeyRecord) -> Json:
    """Return a record's JSON form."""
    return dump(record, KeyRecord)


def load_record(value: Json) -> KeyRecord:
    """Parse a record.

    Raises:
        gantry.protocols.codec.Malformed: it is none.
    """
    return load(cast("type[KeyRecord]", KeyRecord), value)


# --- the book ------------------------------------------------------------------------------------


@frozen
class Entry:
    """What is known about one key."""

    digest: str
    attempt: Attempt
    """Whose call it was, the last time."""
    state: Literal["running", "interrupted"] | Finished | Failed


@frozen
class JobKeys:
    """The keys of one job."""

    newest: Attempt
    entries: Map[Key, Entry] = field(factory=Map)


@frozen
class KeyBook:
    """All keys that a node knows. The value of a node that was never called is ``KeyBook()``."""

    epoch: Epoch = FIRST_EPOCH
    jobs: Map[JobId, JobKeys] = field(factory=Map)
    ended: Map[JobId, Attempt] = field(factory=Map)
    """Jobs that were forgotten, with their last attempt."""

    def entry(self, key: Key) -> Entry | None:
        """Return what is known about a key."""
        job = self.jobs.get(key.job)
        return None if job is None else job.entries.get(key)


@frozen
class Begin:
    """Append the record durably, end the older attempt's calls, then act."""

    record: Begun
    superseded: tuple[Key, ...]
    """Calls of older attempts that are in flight: cancel each and wait for its end."""
    before: Entry | None
    """What :func:`withdraw` puts back if the record can not be made durable."""


@frozen
class Attach:
    """The same call is in flight: wait for its end and answer the same."""

    record: AttemptSeen | None
    superseded: tuple[Key, ...]
    """As in :class:`Begin`."""


@frozen
class Answer:
    """It was done before; this was the result."""

    result: Json


@frozen
class Refuse:
    """The call may not act, or failed before."""

    error: Refusal | Failure
    record: AttemptSeen | None = None
    """To be made durable before the error is told."""


Decision = Begin | Attach | Answer | Refuse


def admit(book: KeyBook, ticket: Ticket) -> tuple[KeyBook, Decision]:
    """Decide about a call. The book changes only if the decision is ``Begin`` or ``Attach``."""
    stale = _stale(book, ticket)
    if stale is not None:
        return book, Refuse(stale)
    if ticket.key.undo and not _may_have_acted(book, ticket.key):
        # Noted, so that the call that is not to happen any more is refused if it arrives late.
        noted, record = _note_attempt(book, ticket)
        return noted, Refuse(NothingToUndo(str(ticket.key)), record)
    entry = book.entry(ticket.key)
    if entry is not None and entry.digest != ticket.digest:
        return book, Refuse(KeyConflict(str(ticket.key)))
    superseded = _superseded(book, ticket)
    match None if entry is None else entry.state:
        case "running":
            noted, record = _note_attempt(book, ticket)
            return noted, Attach(record, superseded)
        case Finished(result=result):
            return book, Answer(result)
        case Failed(failure=failure) if not ticket.redo:
            return book, Refuse(failure)
        case "interrupted" if not ticket.redo:
            return book, Refuse(Interrupted(str(ticket.key)))
        case _:
            begun = Begun(ticket)
            return apply(book, begun), Begin(begun, superseded, entry)


def _stale(book: KeyBook, ticket: Ticket) -> StaleEpoch | StaleAttempt | None:
    if ticket.epoch < book.epoch:
        return StaleEpoch(ticket.epoch, book.epoch)
    newest = _newest_attempt(book, ticket.key.job)
    if ticket.attempt < newest:
        return StaleAttempt(ticket.key.job, ticket.attempt, newest)
    return None


def _note_attempt(book: KeyBook, ticket: Ticket) -> tuple[KeyBook, AttemptSeen | None]:
    record = AttemptSeen(ticket.key.job, ticket.attempt)
    noted = apply(book, record)
    return noted, None if noted is book else record


def _may_have_acted(book: KeyBook, undo: Key) -> bool:
    """Whether the step that is to be undone has, or may have, changed anything here.

    A failed call has tidied up after itself: to undo it could only harm what it met, such as
    a file of somebody else's where a disk was to be made. After a defect of ours nobody knows.
    """
    done = book.entry(evolve(undo, undo=False))
    match None if done is None else done.state:
        case None | Failed(failure=StepFailed() | Missing()):
            return False
        case _:
            return True


def needs_no_record(book: KeyBook, ticket: Ticket) -> bool:
    """Whether a call that has found nothing to do may go without one.

    So may the first attempt's, which supersedes nobody, under a key that nothing is known about:
    whatever comes later is decided in the same way as if the call had never been.
    """
    is_first = ticket.attempt == FIRST_ATTEMPT and ticket.epoch == book.epoch
    return is_first and _stale(book, ticket) is None and book.entry(ticket.key) is None


def see_attempt(
    book: KeyBook, ticket: Ticket
) -> tuple[KeyBook, AttemptSeen | StaleEpoch | StaleAttempt | None]:
    """Note the attempt of who asks for nothing that has to begin; ``None`` if it was known."""
    stale = _stale(book, ticket)
    return (book, stale) if stale is not None else _note_attempt(book, ticket)


def _newest_attempt(book: KeyBook, job: JobId) -> Attempt:
    if job in book.jobs:
        return book.jobs[job].newest
    # The job's end counts as one attempt more, so that none of its own may act after it.
    return Attempt(book.ended[job] + 1) if job in book.ended else Attempt(0)


def _superseded(book: KeyBook, ticket: Ticket) -> tuple[Key, ...]:
    job = book.jobs.get(ticket.key.job)
    if job is None:
        return ()
    return tuple(
        key
        for key, entry in sorted(job.entries.items())
        if key != ticket.key and entry.state == "running" and entry.attempt < ticket.attempt
    )


def finish(book: KeyBook, key: Key, result: Json) -> tuple[KeyBook, Finished]:
    """Note a call's result; the record is to be durable before the caller is answered."""
    record = Finished(key, result)
    return apply(book, record), record


def fail(book: KeyBook, key: Key, failure: Failure) -> tuple[KeyBook, Failed]:
    """Note that a call failed."""
    record = Failed(key, failure)
    return apply(book, record), record


def abort(book: KeyBook, key: Key) -> KeyBook:
    """Note that a call has ended; one without an outcome was cancelled midway.

    That needs no record: a restart comes to the same.
    """
    entry = book.entry(key)
    if entry is None or entry.state != "running":
        return book
    return _with_state(book, key, "interrupted")


def withdraw(book: KeyBook, begin: Begin) -> KeyBook:
    """Take back an admitted call that has not acted, since it could not be made durable."""
    key = begin.record.ticket.key
    if book.entry(key) is None:
        return book
    job = book.jobs[key.job]
    put_back = None if begin.before is None else job.entries.set(key, begin.before)
    entries = job.entries.delete(key) if put_back is None else put_back
    return evolve(book, jobs=book.jobs.set(key.job, evolve(job, entries=entries)))


def forget(book: KeyBook, job: JobId) -> tuple[KeyBook, Forgotten | None]:
    """Drop the keys of a job that has ended; the record is ``None`` if there are none."""
    if job not in book.jobs:
        return book, None
    return apply(book, record := Forgotten(job)), record


def see_epoch(book: KeyBook, epoch: Epoch) -> tuple[KeyBook, EpochSeen | StaleEpoch | None]:
    """Note the epoch of whoever speaks; ``None`` if it is the one that was known."""
    if epoch < book.epoch:
        return book, StaleEpoch(epoch, book.epoch)
    if epoch == book.epoch:
        return book, None
    return apply(book, record := EpochSeen(epoch)), record


def restarted(book: KeyBook) -> KeyBook:
    """Return the book as it is after the process that kept it died: nothing runs any more."""
    for job in book.jobs.values():
        for key, entry in job.entries.items():
            if entry.state == "running":
                book = abort(book, key)
    return book


def apply(book: KeyBook, record: KeyRecord) -> KeyBook:
    """Apply one record: at once when it is made, and again when a journal is replayed."""
    match record:
        case Begun(ticket=ticket):
            return _begin(book, ticket)
        case Finished(key=key) | Failed(key=key):
            return _with_state(book, key, record)
        case Forgotten(job=job):
            return _end(book, job)
        case EpochSeen(epoch=epoch):
            return evolve(book, epoch=max(book.epoch, epoch))
        case AttemptSeen(job=job, attempt=attempt):
            keys = book.jobs.get(job, JobKeys(Attempt(0)))
            if keys.newest >= attempt or _newest_attempt(book, job) > attempt:
                return book
            return evolve(book, jobs=book.jobs.set(job, evolve(keys, newest=attempt)))


def _begin(book: KeyBook, ticket: Ticket) -> KeyBook:
    job = book.jobs.get(ticket.key.job, JobKeys(ticket.attempt))
    entry = Entry(ticket.digest, ticket.attempt, "running")
    changed = JobKeys(max(job.newest, ticket.attempt), job.entries.set(ticket.key, entry))
    epoch = max(book.epoch, ticket.epoch)
    return evolve(book, epoch=epoch, jobs=book.jobs.set(ticket.key.job, changed))


def _with_state(
    book: KeyBook, key: Key, state: Literal["running", "interrupted"] | Finished | Failed
) -> KeyBook:
    entry = book.entry(key)
    if entry is None:  # the job was forgotten while its last call ran
        return book
    job = book.jobs[key.job]
    entries = job.entries.set(key, evolve(entry, state=state))
    return evolve(book, jobs=book.jobs.set(key.job, evolve(job, entries=entries)))


def _end(book: KeyBook, job: JobId) -> KeyBook:
    if job not in book.jobs:
        return book
    ended = book.ended.set(job, book.jobs[job].newest)
    if len(ended) > FORGOTTEN_JOBS_MAX:
        ended = Map(dict(sorted(ended.items())[len(ended) // 2 :]))
    return evolve(book, jobs=book.jobs.delete(job), ended=ended)


# --- the snapshot's form -------------------------------------------------------------------------


@frozen
class StoredBook:
    """A key book as it is stored: flat, without what only a living process has."""

    epoch: Epoch
    newest: tuple[tuple[JobId, Attempt], ...]
    entries: tuple[tuple[Key, Entry], ...]
    ended: tuple[tuple[JobId, Attempt], ...]


def stored(book: KeyBook) -> StoredBook:
    """Return what a snapshot of the book holds."""
    jobs = [book.jobs[job] for job in sorted(book.jobs)]
    return StoredBook(
        epoch=book.epoch,
        newest=tuple((job, book.jobs[job].newest) for job in sorted(book.jobs)),
        entries=tuple((key, keys.entries[key]) for keys in jobs for key in sorted(keys.entries)),
        ended=tuple(sorted(book.ended.items())),
    )


def restored(snapshot: StoredBook) -> KeyBook:
    """Return the book that a snapshot holds.

    Raises:
        gantry.protocols.codec.Malformed: it does not hold together.
    """
    jobs = Map({job: JobKeys(newest) for job, newest in snapshot.newest})
    for key, entry in snapshot.entries:
        job = jobs.get(key.job)
        if job is None:
            raise Malformed(f"job {key.job} has keys, and no newest attempt")
        jobs = jobs.set(key.job, evolve(job, entries=job.entries.set(key, entry)))
    return KeyBook(snapshot.epoch, jobs, Map(dict(snapshot.ended)))
