"""What a master candidate does about the office of the master in an external store: pure.

The store keeps one key with the name of whoever holds the office, on a lease that its holder
keeps alive. The office elects nobody by itself: whoever takes a vacant one is promoted by the same
steps as ``gnt-cluster master-failover``, which ask the voters. The store only says who tries.
"""

from __future__ import annotations

from typing import Final, assert_never

from attrs import evolve, frozen

from gantry.core.replication.quorum import LEASE_SECONDS
from gantry.protocols.identity import Epoch

VACANT_LOOKS: Final = 2
"""A living master takes a vacant office at its next look; the others look so often before."""

START_SECONDS_MAX: Final = 60.0
"""A master whose daemons do not lead for so long gives the office up: they start in a few
seconds, also after a promotion."""

PROMOTION_SECONDS_MAX: Final = 45.0
"""Somebody who has asked for promises is given so long to lead: the wait for an old lease, and
the start of the daemons."""

REST_SECONDS: Final = 2 * PROMOTION_SECONDS_MAX
"""A candidate that could not be promoted lets others try for so long."""


@frozen
class ReplicaSeen:
    """What this node's NodeD knows of a master."""

    heard_seconds: float
    """How long ago one was heard of, or NodeD has started."""
    promised: Epoch
    """The epoch that was promised last; it changes when somebody is being promoted."""


@frozen
class Seen:
    """One look at the store and at this node."""

    holder: str | None
    """The node that holds the office."""
    is_candidate: bool
    is_master: bool
    """Whether this node's own daemons are to lead."""
    leads: bool
    """Whether they do, with a lease in both streams."""
    replica: ReplicaSeen | None
    """What NodeD tells; ``None``: it does not answer, so that this node can not be promoted."""


@frozen
class Standing:
    """What is remembered between two looks."""

    me: str
    vacant_looks: int = 0
    led_at: float | None = None
    """When this node led last, or was first looked at, or promoted."""
    rests_until: float | None = None
    promised: Epoch | None = None
    promised_at: float | None = None
    """When the epoch that is promised here was seen to change."""


@frozen
class Wait:
    """Do nothing; the text says why, if somebody may want to know."""

    reason: str | None = None


@frozen
class Take:
    """Take the vacant office: this node leads already."""


@frozen
class Campaign:
    """Take the vacant office, and be promoted if it was got."""


@frozen
class Keep:
    """Keep the lease of the office alive."""


@frozen
class Resign:
    """Give the office back."""

    reason: str


Action = Wait | Take | Campaign | Keep | Resign


def decide(standing: Standing, seen: Seen, now: float) -> tuple[Standing, Action]:
    """Return what to do after a look; ``now`` is monotonic."""
    vacant = standing.vacant_looks + 1 if seen.holder is None else 0
    led_at = now if seen.leads or standing.led_at is None else standing.led_at
    standing = _noted(evolve(standing, vacant_looks=vacant, led_at=led_at), seen.replica, now)
    if seen.holder == standing.me:
        return standing, _in_office(standing, seen, now)
    if seen.holder is not None:
        reason = f"{seen.holder} holds the office while this node leads" if seen.leads else None
        return standing, Wait(reason)
    if seen.leads:
        return standing, Take()
    return standing, _while_vacant(standing, seen, now)


def _noted(standing: Standing, replica: ReplicaSeen | None, now: float) -> Standing:
    """Note when somebody asks for promises."""
    if replica is None or replica.promised == standing.promised:
        return standing
    at = None if standing.promised is None else now
    return evolve(standing, promised=replica.promised, promised_at=at)


def _in_office(standing: Standing, seen: Seen, now: float) -> Action:
    if not seen.is_master:
        return Resign("this node is not the master any more")
    if standing.led_at is not None and now - standing.led_at <= START_SECONDS_MAX:
        return Keep()
    return Resign("the master daemons of this node do not lead")


def _while_vacant(standing: Standing, seen: Seen, now: float) -> Action:
    if seen.is_master or not seen.is_candidate or standing.vacant_looks < VACANT_LOOKS:
        return Wait()
    if seen.replica is None:
        return Wait("the office is vacant, but NodeD of this node does not answer")
    if seen.replica.heard_seconds <= LEASE_SECONDS:
        return Wait("the master holds no office, and is alive: see its election daemon")
    if _is_being_promoted(standing, now - seen.replica.heard_seconds, now):
        return Wait("the office is vacant, and somebody is being promoted already")
    if standing.rests_until is not None and now < standing.rests_until:
        return Wait()
    return Campaign()


def _is_being_promoted(standing: Standing, heard_at: float, now: float) -> bool:
    """Whether somebody has asked for promises lately, and was not heard of as a leader since."""
    asked_at = standing.promised_at
    return asked_at is not None and heard_at <= asked_at and now - asked_at <= PROMOTION_SECONDS_MAX


def after_promotion(standing: Standing, now: float, *, promoted: bool) -> Standing:
    """Return the standing after a campaign that got the office."""
    if promoted:
        return evolve(standing, led_at=now, rests_until=None)
    return evolve(standing, rests_until=now + REST_SECONDS)


def describe(action: Action) -> str | None:
    """Return what is worth a line in the log."""
    match action:
        case Wait(reason):
            return reason
        case Take():
            return "taking the office: this node leads"
        case Campaign():
            return "the office is vacant and no master is heard of: trying to become the master"
        case Keep():
            return None
        case Resign(reason):
            return f"giving the office up: {reason}"
    assert_never(action)
