"""Job filter rules: which queued jobs may begin, which wait, and which are sent away.

Rules are tried in order; the first that matches and does not say CONTINUE decides. They look at a
job as it was submitted, so that a decision holds for as long as the rules stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, assert_never, cast

from attrs import field, frozen

from gantry.protocols.codec import Json, Malformed
from gantry.protocols.identity import FilterUuid, JobId
from gantry.protocols.jobs import Job
from gantry.protocols.objects.filter import FilterAction, FilterRule, Predicate
from gantry.protocols.patterns import finder
from gantry.protocols.query import (
    And,
    Compare,
    Comparison,
    Contains,
    Filter,
    IsTrue,
    Matches,
    Not,
    Or,
    parse_filter,
)

WATERMARK: Final = "watermark"
"""Stands for the last job id that was given out when the rule was made or changed."""

REASON_FIELDS: Final = ("source", "reason", "timestamp")

HOLDING_UP: Final = ("PAUSE", "REJECT")
"""What keeps a job from beginning, whatever else is at work."""

DECISIONS_KEPT_MAX: Final = 100_000
"""As many jobs as the queue may hold; when there are more decisions, some are of jobs long over."""

Test = Callable[[Job], bool]
Look = Callable[[str], Json]
"""Gives a field's value.

Raises:
    _NotComparable: there is no such field.
"""


class _NotComparable(Exception):
    """A field does not exist or is of another type: the predicate does not hold. Never leaves."""


@frozen
class Decision:
    """What a rule does with a job."""

    rule: FilterUuid
    action: FilterAction


@frozen
class JobFilters:
    """All rules, compiled. Made by :meth:`of`; equal if the rules are."""

    rules: tuple[FilterRule, ...] = ()
    """In the order in which they are tried."""
    _tests: tuple[tuple[Test, Decision], ...] = field(default=(), eq=False, repr=False)
    _decisions: dict[JobId, Decision | None] = field(factory=dict, init=False, eq=False, repr=False)

    held_up: set[JobId] = field(factory=set, init=False, eq=False, repr=False)
    """Jobs of which it is decided that they may not begin, so that nobody asks again."""

    @classmethod
    def of(cls, rules: Iterable[FilterRule]) -> JobFilters:
        """Compile rules.

        A rule whose predicates can not be read, which nothing of ours writes, matches no job.
        """
        ordered = sorted(rules, key=lambda rule: (rule.priority, rule.watermark, rule.uuid))
        tests = tuple((_matcher(rule), Decision(rule.uuid, rule.action)) for rule in ordered)
        return cls(tuple(ordered), tests)

    @property
    def may_reject(self) -> bool:
        """Whether there is a rule that sends jobs away."""
        return any(rule.action == "REJECT" for rule in self.rules)

    def decide(self, job: Job) -> Decision | None:
        """Return what is done with a job; ``None`` if no rule has a say."""
        if not self._tests:
            return None
        if job.id not in self._decisions:
            if len(self._decisions) >= DECISIONS_KEPT_MAX:
                self._decisions.clear()
                self.held_up.clear()
            decision = self._decisions[job.id] = self._first(job)
            if decision is not None and decision.action in HOLDING_UP:
                self.held_up.add(job.id)
        return self._decisions[job.id]

    def _first(self, job: Job) -> Decision | None:
        for test, decision in self._tests:
            if decision.action != "CONTINUE" and test(job):
                return decision
        return None


# --- rules as clients write them -----------------------------------------------------------------


def parse_predicates(value: Json) -> tuple[Predicate, ...]:
    """Read a rule's predicates.

    Raises:
        Malformed: they are none; the text says what is wrong.
    """
    if not isinstance(value, list):
        raise Malformed("predicates are a list")
    return tuple(map(_parse_predicate, cast("list[Json]", value)))


def _parse_predicate(value: Json) -> Predicate:
    match value:
        case ["jobid" | "opcode" | "reason" as about, expression]:
            parse_filter(_listed(expression))
            return about, expression
        case _:
            text = "a predicate is jobid, opcode or reason, and an expression, not"
            raise Malformed(f"{text} {repr(value)[:60]}")


def _listed(expression: Json) -> Json:
    """Refuse ``null``, which is a query's filter and no predicate's expression."""
    if not isinstance(expression, list):
        raise Malformed(f"an expression is a list, not {repr(expression)[:60]}")
    return cast(Json, expression)


def parse_action(value: Json) -> FilterAction:
    """Read what a rule does.

    Raises:
        Malformed: it is nothing that a rule can do.
    """
    match value:
        case "ACCEPT" | "CONTINUE" | "PAUSE" | "REJECT":
            return value
        case ["RATE_LIMIT", int(limit)] if limit > 0 and not isinstance(limit, bool):
            return "RATE_LIMIT", limit
        case _:
            text = "an action is ACCEPT, CONTINUE, PAUSE, REJECT or [RATE_LIMIT, n > 0], not"
            raise Malformed(f"{text} {repr(value)[:60]}")


# --- predicates as functions ---------------------------------------------------------------------


def _matcher(rule: FilterRule) -> Test:
    try:
        tests = [_test(predicate, rule.watermark) for predicate in rule.predicates]
    except Malformed:
        return lambda _: False
    return lambda job: all(test(job) for test in tests)


def _test(predicate: Predicate, watermark: JobId) -> Test:
    about, written = predicate
    expression = parse_filter(written)
    match about:
        case "jobid":
            expression = _with_watermark(expression, watermark)
            return lambda job: _holds(expression, _fields({"id": job.id}), full=False)
        case "reason":
            return lambda job: any(
                _holds(expression, _fields(each), full=False) for each in _reasons(job)
            )
        case "opcode":
            return lambda job: any(
                _holds(expression, _paths(op.input), full=True) for op in job.ops
            )
        case _:
            assert_never(about)


def _with_watermark(expression: Filter, watermark: JobId) -> Filter:
    match expression:
        case And(parts):
            return And(tuple(_with_watermark(part, watermark) for part in parts))
        case Or(parts):
            return Or(tuple(_with_watermark(part, watermark) for part in parts))
        case Not(part):
            return Not(_with_watermark(part, watermark))
        case Compare(operator, name, value) if value == WATERMARK:
            return Compare(operator, name, watermark)
        case _:
            return expression


def _reasons(job: Job) -> Iterator[Mapping[str, Json]]:
    for op in job.ops:
        trail = op.input.get("reason")
        for entry in cast("list[Json]", trail) if isinstance(trail, list) else ():
            if isinstance(entry, list) and len(entry) == len(REASON_FIELDS):
                yield dict(zip(REASON_FIELDS, entry, strict=True))


def _fields(values: Mapping[str, Json]) -> Look:
    def look(name: str) -> Json:
        if name not in values:
            raise _NotComparable
        return values[name]

    return look


def _paths(opcode: Mapping[str, Json]) -> Look:
    """Look up parameters of an opcode; a dot leads into an object."""

    def look(path: str) -> Json:
        found: Json = opcode
        for name in path.split("."):
            if not isinstance(found, Mapping) or name not in found:
                raise _NotComparable
            found = cast("Mapping[str, Json]", found)[name]
        return found

    return look


def _holds(expression: Filter, look: Look, *, full: bool) -> bool:
    """Whether an expression holds of a thing; only of opcodes it may use every operator."""
    try:
        return _evaluate(expression, look, full=full)
    except _NotComparable:
        return False


def _evaluate(expression: Filter, look: Look, *, full: bool) -> bool:
    match expression:
        case And(parts):
            return all(_evaluate(part, look, full=full) for part in parts)
        case Or(parts):
            return any(_evaluate(part, look, full=full) for part in parts)
        case Not(part):
            return not _evaluate(part, look, full=full)
        case Compare(operator, name, value):
            return _compare(operator, look(name), value)
        case IsTrue() | Matches() | Contains():
            if not full:
                raise _NotComparable
            return _of_opcodes(expression, look)
        case _:
            assert_never(expression)


def _of_opcodes(expression: IsTrue | Matches | Contains, look: Look) -> bool:
    value = look(expression.field)
    match expression:
        case IsTrue() if isinstance(value, bool):
            return value
        case Matches(_, pattern) if isinstance(value, str):
            return finder(pattern)(value)
        case Contains(_, wanted) if isinstance(value, list | tuple):
            return any(_compare("==", each, wanted) for each in cast("list[Json]", value))
        case _:
            raise _NotComparable


def _order(value: Json, given: str | int) -> int:
    """Compare two values of one type: negative, 0 or positive."""
    if isinstance(value, str) and isinstance(given, str):
        return (value > given) - (value < given)
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(given, str):
        raise _NotComparable
    return (value > given) - (value < given)


def _compare(operator: Comparison, value: Json, given: str | int) -> bool:
    sign = _order(value, given)
    match operator:
        case "==":
            return sign == 0
        case "<":
            return sign < 0
        case "<=":
            return sign <= 0
        case ">":
            return sign > 0
        case ">=":
            return sign >= 0
        case _:
            assert_never(operator)
