"""The checks can fail: each deliberate mistake in the product is caught by one small run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
import trio
from attrs import frozen
from tests.simulation import run as running
from tests.simulation.scenario import Fault, Kind, Scenario

from gantry.daemons.job.locking import LockTaker
from gantry.daemons.job.stepping import Stepper
from gantry.daemons.noded.disks import Disks

SETTLE_SECONDS: Final = 45.0
"""A mistake is not waited for as long as something that may become right."""


async def _nothing(*_: object, **__: object) -> None:
    await trio.lowlevel.checkpoint()


async def _nothing_left(*_: object) -> list[str]:
    await trio.lowlevel.checkpoint()
    return []


@frozen
class Mutation:
    """A mistake, and a run that finds it."""

    name: str
    where: type
    method: str
    instead: Callable[..., Awaitable[object]]
    faults: tuple[Kind, ...] = ()


MUTATIONS: Final = (
    Mutation("jobs take no locks", LockTaker, "take", _nothing),
    Mutation("nothing is undone", Stepper, "backwards", _nothing_left, ("script fails",) * 6),
    Mutation("disks are not removed", Disks, "remove", _nothing),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: str(each.name))
def test_a_mistake_is_caught(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    instead: Any = mutation.instead
    monkeypatch.setattr(mutation.where, mutation.method, instead)
    monkeypatch.setattr(running, "SETTLE_SECONDS_MAX", SETTLE_SECONDS)
    faults = tuple(Fault(n, kind, 2.0 * n) for n, kind in enumerate(mutation.faults))
    outcome = running.simulate(Scenario(4, 3, 40, faults, 15.0, instances=3))
    assert outcome.failures
