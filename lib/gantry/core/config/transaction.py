"""A change under a key: done once, however often it is asked for.

The key of a change is part of its record and of the snapshot, so that it survives together with
the change itself. See ``doc/design/replication.md``, "Keys".
"""

from __future__ import annotations

from attrs import evolve, frozen
from immutables import Map

from gantry.core.config.apply import apply
from gantry.core.config.claims import Claim
from gantry.core.config.reservations import Reservations
from gantry.core.config.state import Answer, JobKeys, State, follow
from gantry.protocols.changes import Change
from gantry.protocols.config_records import (
    LOG_KEY,
    ConfigRecord,
    JobsKeys,
    LogPosition,
    UsedKey,
    dump_position,
    load_position,
)
from gantry.protocols.errors import KeyConflict, NoLease, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Epoch, JobId, Ticket
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.records import Index, Position, origin_of
from gantry.protocols.wconfd import Committed, Delta, Invariant, Refused


@frozen
class Transacted:
    """A change is made; it counts as soon as its record is durable."""

    state: State
    record: ConfigRecord

    @property
    def delta(self) -> Delta:
        """What subscribers hear of it."""
        return delta_of(self.state.index, self.record)


def transact(
    state: State, reservations: Reservations, ticket: Ticket, change: Change, now: float
) -> Transacted | Committed | Refused:
    """Make a change under a key.

    Returns:
        ``Committed`` if this very change was made before; then nothing is to be done.

    Raises:
        StaleEpoch, StaleAttempt: the caller has been replaced.
        NoLease: the caller knows a newer epoch than we do: we have been replaced.
        KeyConflict: the key was used for something else.
    """
    known = _admit(state, ticket)
    if known is not None:
        return known
    changed = apply(state, change, now)
    if isinstance(changed, Invariant):
        return Refused(changed)
    job = ticket.key.job
    reserved = _reserved_by_others(reservations, job, changed.new_claims)
    if reserved is not None:
        return Refused(reserved)
    configuration = changed.configuration
    record = ConfigRecord(
        ticket.key,
        ticket.attempt,
        ticket.digest,
        configuration.serial_no,
        configuration.mtime,
        changed.objects,
    )
    after = evolve(state, configuration=configuration, indexes=changed.indexes)
    return Transacted(_remember(after, record), record)


def _admit(state: State, ticket: Ticket) -> Committed | None:
    key = ticket.key
    if ticket.epoch < state.epoch:
        raise StaleEpoch(ticket.epoch, state.epoch)
    if ticket.epoch > state.epoch:
        raise NoLease
    keys = state.jobs.get(key.job)
    if keys is None:
        return None
    if ticket.attempt < keys.attempt:
        raise StaleAttempt(key.job, ticket.attempt, keys.attempt)
    answer = keys.answers.get(key)
    if answer is None:
        return None
    if answer.digest != ticket.digest:
        raise KeyConflict(str(key))
    return Committed(answer.index)


def _reserved_by_others(
    reservations: Reservations, job: JobId, claims: frozenset[Claim]
) -> Invariant | None:
    for claim in sorted(claims):
        holder = reservations.holder(claim)
        if holder is not None and holder != job:
            text = f"{claim.space} {claim.value} is reserved by job {holder}"
            return Invariant("reserved values are left alone", claim.space, claim.value, text)
    return None


def _remember(state: State, record: ConfigRecord) -> State:
    """Count a record, and store its key."""
    index = Index(state.index + 1)
    job = record.key.job
    answers = state.jobs.get(job, JobKeys(record.attempt)).answers
    answer = Answer(record.digest, index)
    keys = JobKeys(record.attempt, answers.set(record.key, answer))
    return evolve(state, index=index, jobs=state.jobs.set(job, keys))


def forget(state: State, job: JobId) -> State:
    """Forget the keys of a job that is over."""
    return evolve(state, jobs=state.jobs.delete(job)) if job in state.jobs else state


def delta_of(index: Index, record: ConfigRecord) -> Delta:
    """Return what subscribers hear of a record."""
    return Delta(index, record.serial_no, record.mtime, record.objects)


def replay(state: State, epoch: Epoch, record: ConfigRecord) -> State:
    """Do again what a committed record says, in the order of the log.

    Raises:
        gantry.protocols.codec.Malformed: it holds an object of an unknown form.
    """
    delta = delta_of(Index(state.index + 1), record)
    configuration, indexes = follow(state.configuration, state.indexes, delta)
    after = evolve(
        state, configuration=configuration, indexes=indexes, epoch=max(epoch, state.epoch)
    )
    for job in record.over:
        after = forget(after, job)
    return _remember(after, record)


# --- the snapshot --------------------------------------------------------------------------------


def to_file(state: State, position: Position) -> Configuration:
    """Return the configuration as ``config.data`` holds it: with the place in the log."""
    saved = LogPosition(
        state.epoch,
        position.index,
        position.checksum,
        tuple(
            JobsKeys(
                job,
                keys.attempt,
                tuple(UsedKey(key, each.digest, each.index) for key, each in keys.answers.items()),
            )
            for job, keys in state.jobs.items()
        ),
    )
    configuration = state.configuration
    gantry = configuration.gantry.set(LOG_KEY, dump_position(saved))
    return evolve(configuration, gantry=gantry)


def from_file(configuration: Configuration) -> tuple[State, Position]:
    """Return the state that a ``config.data`` holds, and its place in the log.

    Raises:
        gantry.protocols.codec.Malformed: what stands under ``gantry`` is not ours.
    """
    saved = load_position(configuration.gantry.get(LOG_KEY))
    gantry = configuration.gantry
    if LOG_KEY in gantry:
        gantry = gantry.delete(LOG_KEY)
    jobs = Map(
        {
            each.job: JobKeys(
                each.attempt, Map({used.key: Answer(used.digest, used.index) for used in each.used})
            )
            for each in saved.jobs
        }
    )
    state = State.of(evolve(configuration, gantry=gantry), saved.index, saved.epoch, jobs)
    if LOG_KEY not in configuration.gantry:
        return state, origin_of(configuration.cluster.uuid)
    return state, Position(saved.index, saved.checksum)
