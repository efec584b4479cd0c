"""The job queue as a value; :mod:`gantry.core.queue.fold` makes it from its records.

The queue is a persistent value: the daemon holds two of them at no extra cost, one with every
record that was decided and one with those that are durable; clients see only the latter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeVar, cast

import attrs
from attrs import field, frozen
from immutables import Map

from gantry.core.queue.line import Line
from gantry.protocols.identity import Attempt, JobId, Key
from gantry.protocols.job_course import NOTHING_YET, JobCourse
from gantry.protocols.jobproc import (
    EventNumber,
    LogLevel,
    Mode,
)
from gantry.protocols.jobs import (
    Job,
    JobStatus,
    QueuedOpcode,
    Timestamp,
)
from gantry.protocols.queue_records import (
    Outcomes,
    Sending,
)
from gantry.protocols.steps import Asked, Decided, Holds, StepRecord, TurnedBack

ARCHIVED_KEPT_MAX: Final = 10_000
"""Of how many archived jobs the final status is remembered, for jobs that depend on them."""

GENERATION_SECONDS: Final = 600
SENDINGS_MIN: Final = 1000
"""A generation of recent submissions is so old, by the wall clock, and has so many of them at the
least: the clock may be set."""

NO_JOB: Final = JobId(0)
NO_ATTEMPT: Final = Attempt(0)
NO_EVENT: Final = EventNumber(0)

Phase = Literal["queued", "active", "closed"]

K = TypeVar("K")
V = TypeVar("V")


@frozen
class Dependency:
    """A job waits for another one to end, with one of these statuses (none: with any)."""

    job: JobId
    statuses: frozenset[str]


def dependencies(op: QueuedOpcode) -> tuple[Dependency, ...]:
    """Read an opcode's ``depends``, whose ids are absolute in a stored opcode."""
    listed = op.input.get("depends")
    if not isinstance(listed, list):
        return ()
    pairs = [cast("list[object]", pair) for pair in listed if isinstance(pair, list)]
    return tuple(
        Dependency(JobId(pair[0]), frozenset(cast("list[str]", pair[1])))
        for pair in pairs
        if len(pair) == 2 and isinstance(pair[0], int) and isinstance(pair[1], list)
    )


RateLimit = tuple[int, str]
"""At most so many jobs with this limit run at once; its label tells limits of one size apart."""

_RATE_LIMIT: Final = re.compile(r"rate-limit:0*([1-9][0-9]{0,8}):(.*)", re.ASCII | re.DOTALL)


def rate_limits(job: Job) -> frozenset[RateLimit]:
    """Read the limits that a job brings along in the reason trails of its opcodes."""
    trails = (op.input.get("reason") for op in job.ops)
    entries = (entry for trail in trails if isinstance(trail, list) for entry in trail)
    texts = (cast("list[object]", e)[1] for e in entries if isinstance(e, list) and len(e) > 1)
    matches = (_RATE_LIMIT.fullmatch(text) for text in texts if isinstance(text, str))
    return frozenset((int(match[1]), match[2]) for match in matches if match)


@frozen
class Entry:
    """One job in the queue, with what only the queue knows of it."""

    job: Job
    depends: tuple[Dependency, ...] = ()
    limits: frozenset[RateLimit] = frozenset()
    attempt: Attempt = NO_ATTEMPT
    """The newest attempt; 0 while the job is queued."""
    mode: Mode = "run"
    deaths: int = 0
    """How many processes have died that were to carry the job on."""
    false_starts: int = 0
    """How many processes in a row have died before they were given their work."""
    roll_backs: int = 0
    """How many attempts were begun to roll the job back."""
    has_process: bool = False
    """Whether the newest attempt's process may have been given its work."""
    reported: EventNumber = NO_EVENT
    """The number of the newest attempt's last event."""
    is_orphan: bool = False
    """Whether the newest attempt's process was an earlier master's."""
    records: tuple[StepRecord, ...] = ()
    """The step records of the opcodes that have not ended."""
    wanted: Map[Key, Outcomes] = field(factory=Map)
    cancel_wanted: bool = False
    """Whether the job is to stop and undo; a later attempt is told so, too."""
    closed: bool = False
    """Whether the job is over and what it held is, or is being, released."""
    paused: bool = False
    """Whether the job is not to begin, or not to begin its next step."""
    log_level: LogLevel | None = None
    """How much its processes log; ``None``: as the opcodes say."""
    course: JobCourse = NOTHING_YET
    """What it has gone through, for people."""

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self.job.id

    @property
    def question(self) -> Asked | None:
        """What the job asks a person, if it waits for an answer."""
        asked: Asked | None = None
        for record in self.records:
            match record:
                case Asked():
                    asked = record
                case Decided() | TurnedBack():
                    asked = None
                case _:
                    pass
        return asked

    @property
    def waits_for_a_person(self) -> bool:
        """Whether nothing happens before a question is answered; a cancel is an answer, too."""
        return self.question is not None and not self.cancel_wanted

    @property
    def holds(self) -> Holds | None:
        """What the job is known to hold."""
        known = (record for record in reversed(self.records) if isinstance(record, Holds))
        return next(known, None)

    @property
    def phase(self) -> Phase:
        """Not begun; begun, so that it may hold locks; or over and done with."""
        return "closed" if self.closed else "active" if self.attempt else "queued"


@frozen
class SentJobs:
    """The ids that a recent submission got, and when."""

    jobs: tuple[JobId, ...]
    received: Timestamp
    connection: str


@frozen
class Sendings:
    """Recent submissions in two generations, so that forgetting the old ones costs nothing."""

    begun: int = 0
    """When the younger generation began, in seconds since the epoch."""
    young: Map[str, SentJobs] = field(factory=Map)
    old: Map[str, SentJobs] = field(factory=Map)

    def find(self, digest: str, old_through: JobId) -> SentJobs | None:
        """Return what an equal submission got, unless its jobs came too long ago."""
        sent = self.young.get(digest) or self.old.get(digest)
        return sent if sent and sent.jobs[-1] > old_through else None

    def add(self, sending: Sending, jobs: tuple[JobId, ...], received: Timestamp) -> Sendings:
        """Return the submissions with one more; the oldest may go."""
        young, old, begun = self.young, self.old, self.begun
        if abs(received[0] - begun) >= GENERATION_SECONDS and len(young) >= SENDINGS_MIN:
            young, old, begun = Map(), young, received[0]
        sent = SentJobs(jobs, received, sending.connection)
        return Sendings(begun, young.set(sending.digest, sent), old)


@frozen
class Archived:
    """The final statuses of the last archived jobs, oldest first in ``order``."""

    status: Map[JobId, JobStatus] = field(factory=Map)
    order: Map[int, JobId] = field(factory=Map)
    first: int = 0

    def add(self, job: JobId, status: JobStatus) -> Archived:
        """Return the statuses with one more; the oldest may go."""
        number, first = self.first + len(self.order), self.first
        statuses, order = self.status.set(job, status), self.order.set(number, job)
        if len(order) > ARCHIVED_KEPT_MAX:
            oldest = order[first]
            statuses, order, first = statuses.delete(oldest), order.delete(first), first + 1
        return Archived(statuses, order, first)

    def __iter__(self) -> Iterator[tuple[JobId, JobStatus]]:
        for number in range(self.first, self.first + len(self.order)):
            job = self.order[number]
            yield job, self.status[job]


@frozen
class Queue:
    """All jobs that are not archived, and indexes over them."""

    serial: JobId = NO_JOB
    """The last job id that was given out."""
    drained: bool = False
    paused: bool = False
    """Whether no queued job begins."""
    entries: Map[JobId, Entry] = field(factory=Map)
    ready: Line = field(factory=Line)
    """The queued jobs without dependencies that may begin."""
    held: Map[JobId, frozenset[JobId]] = field(factory=Map)
    """The queued jobs that depend on earlier ones which are not over, with these."""
    released: Map[JobId, None] = field(factory=Map)
    """The queued jobs of which all earlier ones that they depend on are over."""
    dependents: Map[JobId, Map[JobId, None]] = field(factory=Map)
    """By job, who is held by it."""
    on_hold: Map[JobId, None] = field(factory=Map)
    """The queued jobs that are paused; nothing else is looked at until they are not."""
    active: Map[JobId, None] = field(factory=Map)
    archived: Archived = field(factory=Archived)
    sendings: Sendings = field(factory=Sendings)

    def entry(self, job: JobId) -> Entry | None:
        """Return a job's entry, if it is in the queue."""
        return self.entries.get(job)

    def job(self, job: JobId) -> Job | None:
        """Return a job, if it is in the queue."""
        entry = self.entries.get(job)
        return None if entry is None else entry.job

    def jobs(self) -> Iterator[Job]:
        """Iterate over the jobs by id."""
        return (self.entries[job].job for job in sorted(self.entries))

    def final_status(self, job: JobId) -> JobStatus | None:
        """Return how a job ended, in the queue or not long ago in the archive."""
        entry = self.entries.get(job)
        return self.archived.status.get(job) if entry is None else entry.job.status

    def is_unfinished(self, job: JobId) -> bool:
        """Whether the job is in the queue and not over."""
        indexes = (self.ready, self.active, self.held, self.released, self.on_hold)
        return any(job in index for index in indexes)

    def put(self, entry: Entry) -> Queue:
        """Return the queue with a job's entry added or replaced, indexes included."""
        job, phase = entry.id, entry.phase
        on_hold = phase == "queued" and entry.paused
        in_line = phase == "queued" and not on_hold
        rank = (entry.job.priority, job) if in_line and not entry.depends else None
        queue = attrs.evolve(
            self,
            entries=self.entries.set(job, entry),
            ready=self.ready.with_rank(job, rank),
            on_hold=_mark(self.on_hold, job, member=on_hold),
            active=_mark(self.active, job, member=phase == "active"),
        )
        if entry.depends:
            queue = _placed(queue, entry, in_line=in_line)
        return _let_go(queue, job) if phase == "closed" and job in self.dependents else queue

    def without(self, job: JobId) -> Queue:
        """Return the queue without a job."""
        return attrs.evolve(
            self,
            entries=_set(self.entries, job, None),
            ready=self.ready.with_rank(job, None),
            on_hold=_mark(self.on_hold, job, member=False),
            active=_mark(self.active, job, member=False),
        )


def _placed(queue: Queue, entry: Entry, *, in_line: bool) -> Queue:
    """Return the queue with a job with dependencies among those that wait, or not any more."""
    job, waits = entry.id, queue.held.get(entry.id, frozenset[JobId]())
    if in_line:
        return queue if waits or job in queue.released else _waiting(queue, entry)
    dependents = queue.dependents
    for other in waits:
        dependents = _set(dependents, other, dependents[other].delete(job) or None)
    return attrs.evolve(
        queue,
        held=_set(queue.held, job, None),
        released=_mark(queue.released, job, member=False),
        dependents=dependents,
    )


def _waiting(queue: Queue, entry: Entry) -> Queue:
    """Return the queue with one more job that waits for what is unfinished of what it needs.

    Later jobs may not be known yet: whoever schedules looks at them once more.
    """
    job, dependents = entry.id, queue.dependents
    others = {each.job for each in entry.depends if each.job < job}
    waits = frozenset(other for other in others if queue.is_unfinished(other))
    for other in waits:
        them = dependents.get(other, Map[JobId, None]())
        dependents = dependents.set(other, them.set(job, None))
    return attrs.evolve(
        queue,
        held=_set(queue.held, job, waits or None),
        released=_mark(queue.released, job, member=not waits),
        dependents=dependents,
    )


def _let_go(queue: Queue, job: JobId) -> Queue:
    """Return the queue in which nobody waits for a job any more: it is over."""
    held, released = queue.held, queue.released
    for dependent in queue.dependents[job]:
        rest = held[dependent] - {job}
        held = _set(held, dependent, rest or None)
        released = _mark(released, dependent, member=not rest)
    dependents = queue.dependents.delete(job)
    return attrs.evolve(queue, held=held, released=released, dependents=dependents)


def _set(index: Map[K, V], key: K, value: V | None) -> Map[K, V]:
    if value is not None:
        return index if index.get(key) == value else index.set(key, value)
    return index.delete(key) if key in index else index


def _mark(index: Map[K, None], key: K, *, member: bool) -> Map[K, None]:
    if member == (key in index):
        return index
    return index.set(key, None) if member else index.delete(key)
