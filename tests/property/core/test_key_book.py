"""Laws of the key book: a key's action begins once, and a crash forgets nothing."""

from __future__ import annotations

from collections import Counter

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gantry.core import keys
from gantry.core.keys import (
    Answer,
    Attach,
    Begin,
    KeyBook,
    KeyRecord,
    Refuse,
    StoredBook,
    admit,
)
from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.errors import KeyConflict, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, Ticket
from gantry.protocols.noded import Interrupted, NothingToUndo, StepFailed

small = st.integers(1, 3)
tickets = st.builds(
    Ticket,
    key=st.builds(Key, job=small.map(JobId), opcode=st.just(0), step=small, undo=st.booleans()),
    attempt=small.map(Attempt),
    epoch=small.map(Epoch),
    digest=st.sampled_from(["same", "same", "same", "other"]),
    redo=st.booleans(),
)
events = st.lists(
    st.one_of(
        tickets,
        st.tuples(st.sampled_from(["finish", "fail", "abort"]), st.integers(0, 9)),
        st.tuples(st.just("forget"), small),
        st.tuples(st.just("epoch"), small),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=40,
)


def stored_form(book: KeyBook) -> bytes:
    """Render a book; compared instead of the book, since errors compare by identity."""
    return to_bytes(dump(keys.stored(book)))


class Node:
    """A node that does what the book decides, and a deliberately stupid second bookkeeping."""

    def __init__(self) -> None:
        self.book = KeyBook()
        self.records: list[KeyRecord] = []
        self.running: list[Key] = []
        self.outcomes: dict[Key, object] = {}
        self.begun: Counter[Key] = Counter()
        self.newest: dict[int, int] = {}
        self.epoch = 1

    def call(self, ticket: Ticket) -> None:
        key = ticket.key
        self.book, decision = admit(self.book, ticket)
        if isinstance(decision, Refuse) and isinstance(decision.error, StaleAttempt | StaleEpoch):
            assert ticket.epoch < self.epoch or ticket.attempt < self.newest.get(key.job, 0)
            return
        assert ticket.epoch >= self.epoch
        assert ticket.attempt >= self.newest.get(key.job, 0)
        match decision:
            case Refuse(error=NothingToUndo(), record=record):
                assert not self.may_have_acted(key)
                self.note(ticket, record)
            case Begin(record=record):
                assert key not in self.running
                assert not self.begun[key] or ticket.redo
                assert not isinstance(self.outcomes.get(key), int)
                assert self.may_have_acted(key)
                self.begun[key] += 1
                self.records.append(record)
                self.running.append(key)
                self.newest[key.job], self.epoch = ticket.attempt, ticket.epoch
                self.end_superseded(decision.superseded, ticket)
            case Attach(record=record):
                assert key in self.running
                self.note(ticket, record)
                self.end_superseded(decision.superseded, ticket)
            case Answer(result=result):
                assert self.outcomes[key] == result
            case Refuse(error=error):
                self.refused(key, error)

    def refused(self, key: Key, error: Exception) -> None:
        match error:
            case KeyConflict():
                assert self.begun[key]
            case Interrupted():
                assert self.begun[key]
                assert key not in self.running
                assert key not in self.outcomes
            case _:
                assert self.outcomes[key] == str(error)

    def note(self, ticket: Ticket, record: KeyRecord | None) -> None:
        if record is not None:
            self.records.append(record)
        self.newest[ticket.key.job] = ticket.attempt

    def may_have_acted(self, key: Key) -> bool:
        """Whether there is something to undo; every key that is none of an undo may act."""
        if not key.undo:
            return True
        done = evolve(key, undo=False)
        has_failed = isinstance(self.outcomes.get(done), str) and done not in self.running
        return bool(self.begun[done]) and not has_failed

    def end_superseded(self, superseded: tuple[Key, ...], ticket: Ticket) -> None:
        for key in superseded:
            assert key.job == ticket.key.job
            assert key != ticket.key
            self.running.remove(key)
            self.outcomes.pop(key, None)
            self.book = keys.abort(self.book, key)

    def happen(self, what: str, number: int) -> None:
        if what in ("finish", "fail", "abort") and self.running:
            self.end(what, self.running.pop(number % len(self.running)), number)
        elif what == "forget" and not any(key.job == number for key in self.running):
            self.book, record = keys.forget(self.book, JobId(number))
            if record is not None:
                self.records.append(record)
                self.newest[number] = self.newest.get(number, 0) + 1
                for key in [key for key in self.begun if key.job == number]:
                    del self.begun[key]
                    self.outcomes.pop(key, None)
        elif what == "epoch":
            self.book, seen = keys.see_epoch(self.book, Epoch(number))
            if isinstance(seen, keys.EpochSeen):
                self.records.append(seen)
            self.epoch = max(self.epoch, number)
        elif what == "restart":
            self.restart()

    def end(self, what: str, key: Key, number: int) -> None:
        record: KeyRecord
        if what == "finish":
            self.book, record = keys.finish(self.book, key, number)
            self.outcomes[key] = number
            self.records.append(record)
        elif what == "fail":
            failure = StepFailed(f"failure {number}")
            self.outcomes[key] = str(failure)
            self.book, record = keys.fail(self.book, key, failure)
            self.records.append(record)
        else:
            self.outcomes.pop(key, None)
            self.book = keys.abort(self.book, key)

    def restart(self) -> None:
        replayed = KeyBook()
        for record in self.records:
            stored = from_bytes(to_bytes(keys.dump_record(record)))
            replayed = keys.apply(replayed, keys.load_record(stored))
        replayed = keys.restarted(replayed)
        assert stored_form(replayed) == stored_form(keys.restarted(self.book))
        for key in self.running:
            self.outcomes.pop(key, None)
        self.book, self.running = replayed, []


def lived(happenings: list[object]) -> Node:
    """Return a node to which all this has happened."""
    node = Node()
    for event in happenings:
        if isinstance(event, Ticket):
            node.call(event)
        elif isinstance(event, tuple):
            node.happen(*event)
    return node


@given(events)
def test_a_key_acts_once_and_a_restart_forgets_nothing(happenings: list[object]) -> None:
    node = lived(happenings)
    node.restart()
    restored = keys.restored(load(StoredBook, from_bytes(stored_form(node.book))))
    assert stored_form(restored) == stored_form(node.book)


@given(tickets)
def test_a_call_that_could_not_be_made_durable_is_taken_back(ticket: Ticket) -> None:
    done = evolve(ticket, key=evolve(ticket.key, undo=False))
    book, decision = admit(KeyBook(epoch=Epoch(1)), done)
    assert isinstance(decision, Begin)
    again, decision = admit(keys.withdraw(book, decision), done)
    assert isinstance(decision, Begin)
    assert again == book


@given(tickets)
def test_what_never_began_here_is_not_undone(ticket: Ticket) -> None:
    undo = evolve(ticket, key=evolve(ticket.key, undo=True))
    book, decision = admit(KeyBook(epoch=Epoch(1)), undo)
    assert book.entry(undo.key) is None
    assert isinstance(decision, Refuse)
    assert isinstance(decision.error, NothingToUndo)
    late = evolve(ticket, attempt=Attempt(ticket.attempt - 1))
    _, decision = admit(book, late)  # the step's own call, of the attempt before
    assert isinstance(decision, Refuse)
    assert isinstance(decision.error, StaleAttempt)


@given(events, small, tickets)
def test_what_goes_without_a_record_changes_nothing_for_others(
    happenings: list[object], job: int, later: Ticket
) -> None:
    book = lived(happenings).book
    idle = Ticket(Key(JobId(job), 0, step=4), Attempt(1), book.epoch, "same")
    if not keys.needs_no_record(book, idle):
        assert isinstance(admit(book, idle)[1], Refuse)
        return
    recorded, decision = admit(book, idle)
    assert isinstance(decision, Begin)
    assert not decision.superseded
    recorded, _ = keys.finish(recorded, decision.record.ticket.key, None)
    assert kind_of(admit(recorded, later)[1]) == kind_of(admit(book, later)[1])


def kind_of(decision: keys.Decision) -> object:
    """Return what a decision comes to; errors compare by identity."""
    match decision:
        case Refuse(error=error):
            return type(error), str(error)
        case Attach(superseded=superseded):
            return Attach, superseded
        case _:
            return decision
