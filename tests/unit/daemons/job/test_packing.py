"""Code that is laid side by side does what it did before."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

from gantry.daemons.job.packing import noting_codes, pack


def known(function: Callable[..., object]) -> Callable[..., object]:
    KNOWN[function.__code__] = "by its code"
    return function


KNOWN: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


@known
def known_by_its_code() -> str:
    return "known"


def test_only_what_was_run_is_moved_and_does_the_same() -> None:
    def called(number: int) -> int:
        def inner(more: int) -> int:
            return number + more

        return inner(1) + sum(counted(2))

    def counted(end: int) -> Iterator[int]:
        yield from range(end)

    def not_called() -> str:
        return "never"

    before = [each.__code__ for each in (called, counted, not_called)]
    with noting_codes() as run:
        expected = called(3)
    pack(run)
    after = [each.__code__ for each in (called, counted, not_called)]
    assert [new is old for new, old in zip(after, before, strict=True)] == [False, False, True]
    assert after == before
    assert called(3) == expected


def test_functions_that_are_made_while_it_runs_have_the_moved_code() -> None:
    def maker() -> Callable[[], int]:
        return lambda: 7

    with noting_codes() as run:
        made = maker()
        made()
    before = made.__code__
    pack(run)
    assert made.__code__ is not before
    assert made.__code__ is maker().__code__
    assert maker()() == 7


def test_code_that_somebody_knows_weakly_stays() -> None:
    with noting_codes() as run:
        known_by_its_code()
    pack(run)
    assert KNOWN[known_by_its_code.__code__] == "by its code"
