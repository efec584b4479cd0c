"""The queue as one record, with which a log that was cut short begins."""

from __future__ import annotations

import attrs
from immutables import Map

from gantry.core.queue.state import Archived, Entry, Queue, Sendings, dependencies, rate_limits
from gantry.protocols.jobs import (
    job_from_json,
    job_to_json,
)
from gantry.protocols.queue_records import (
    QueueSnapshot,
    Sending,
    StoredEntry,
    StoredSending,
    Wanted,
)


def take(queue: Queue) -> QueueSnapshot:
    """Return the queue as one record; :func:`restore` gives it back."""
    generations = (queue.sendings.old, queue.sendings.young)
    return QueueSnapshot(
        serial=queue.serial,
        drained=queue.drained,
        paused=queue.paused,
        entries=tuple(_stored(queue.entries[job]) for job in sorted(queue.entries)),
        archived=tuple(queue.archived),
        sendings=tuple(
            StoredSending(Sending(digest, sent.connection), sent.jobs, sent.received)
            for generation in generations
            for digest, sent in sorted(generation.items(), key=lambda item: item[1].jobs)
        ),
    )


def _stored(entry: Entry) -> StoredEntry:
    return StoredEntry(
        job=job_to_json(entry.job),
        attempt=entry.attempt,
        mode=entry.mode,
        roll_backs=entry.roll_backs,
        has_process=entry.has_process,
        reported=entry.reported,
        records=entry.records,
        wanted=tuple(Wanted(key, outcomes) for key, outcomes in entry.wanted.items()),
        closed=entry.closed,
        deaths=entry.deaths,
        false_starts=entry.false_starts,
        cancel_wanted=entry.cancel_wanted,
        paused=entry.paused,
        course=entry.course,
        is_orphan=entry.is_orphan,
        log_level=entry.log_level,
    )


def restore(snapshot: QueueSnapshot) -> Queue:
    """Return the queue that a snapshot was taken of."""
    queue = Queue(serial=snapshot.serial, drained=snapshot.drained, paused=snapshot.paused)
    for stored in snapshot.entries:
        queue = queue.put(_restored(stored))
    archived, sendings = Archived(), Sendings()
    for job, status in snapshot.archived:
        archived = archived.add(job, status)
    for each in snapshot.sendings:
        sendings = sendings.add(each.sending, each.jobs, each.received)
    return attrs.evolve(queue, archived=archived, sendings=sendings)


def _restored(stored: StoredEntry) -> Entry:
    job = job_from_json(stored.job)
    return Entry(
        job=job,
        depends=tuple(d for op in job.ops for d in dependencies(op)),
        limits=rate_limits(job),
        attempt=stored.attempt,
        mode=stored.mode,
        roll_backs=stored.roll_backs,
        has_process=stored.has_process,
        reported=stored.reported,
        records=stored.records,
        wanted=Map({each.key: each.outcomes for each in stored.wanted}),
        closed=stored.closed,
        deaths=stored.deaths,
        false_starts=stored.false_starts,
        cancel_wanted=stored.cancel_wanted,
        paused=stored.paused,
        course=stored.course,
        is_orphan=stored.is_orphan,
        log_level=stored.log_level,
    )
