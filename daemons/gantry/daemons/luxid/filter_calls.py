"""LUXI's calls that change job filter rules: configuration, which WConfD changes."""

from __future__ import annotations

import uuid as uuids
from typing import Final, assert_never

import trio
from attrs import frozen

from gantry.core.query.view import View
from gantry.core.queue.job_filters import parse_action, parse_predicates
from gantry.daemons.luxid.calls import Calls
from gantry.protocols.changes import AddFilter, FilterChange, RemoveFilter, UpdateFilter
from gantry.protocols.codec import Json, Malformed, digest_of, dump, load
from gantry.protocols.errors import ConnectionLost, GenericError, ServiceError
from gantry.protocols.identity import Attempt, FilterUuid, JobId, Key, Ticket
from gantry.protocols.objects.filter import FilterRule, ReasonEntry
from gantry.protocols.wconfd import Committed, Refused

NOBODYS_JOB: Final = JobId(0)
"""Stands in the keys of changes that LuxiD makes itself; jobs begin with 1."""

ONLY_ATTEMPT: Final = Attempt(1)

REASON_SOURCE: Final = "luxid"
"""Who stands last in a rule's reason trail, as in Ganeti."""

KEY_BYTES: Final = 6
"""Enough random ones that no two changes get the same key."""

CHANGE_SECONDS_MAX: Final = 30.0
"""A change that is not known to count after this time is reported as unknown."""

RETRY_SECONDS: Final = 0.1


@frozen
class FilterCalls(Calls):
    """The calls that add, replace and remove job filter rules."""

    async def replace_filter(
        self, uuid: str | None, priority: int, predicates: Json, action: Json, reason: Json
    ) -> str:
        """Add or replace a filter rule; it applies at once, to queued jobs, too."""
        parsed, verb = parse_predicates(predicates), parse_action(action)
        trail = load(tuple[ReasonEntry, ...], reason)
        if priority < 0:
            raise Malformed(f"a priority is a whole number from 0 up, not {priority}")
        known = self.view().configuration.filters
        name = _checked(self.parts.env.random.uuid() if uuid is None else uuid)
        now = int(self.parts.env.clock.now() * 1_000_000_000)
        rule = FilterRule(
            watermark=self.queue().serial,
            priority=priority,
            predicates=parsed,
            action=verb,
            reason_trail=(*trail, (REASON_SOURCE, "", now)),
            uuid=name,
        )
        await self._commit(UpdateFilter(rule) if name in known else AddFilter(rule))
        return name

    async def delete_filter(self, uuid: str) -> None:
        """Remove a filter rule; jobs that it held up may begin at once."""
        name = _checked(uuid)
        if name not in self.view().configuration.filters:
            raise GenericError(f"there is no filter rule with the UUID {uuid}")
        await self._commit(RemoveFilter(name))

    async def _commit(self, change: FilterChange) -> None:
        """Make a change and wait until it counts here, too.

        Raises:
            GenericError: nothing was changed; or it is not known, and the text says so.
        """
        digest = digest_of(dump(change, FilterChange))
        key = Key(NOBODYS_JOB, 0, int.from_bytes(self.parts.env.random.bytes(KEY_BYTES)))
        with trio.move_on_after(CHANGE_SECONDS_MAX):
            while not _is_made(change, self.view()):
                epoch = await self.parts.mirror.named()
                ticket = Ticket(key, ONLY_ATTEMPT, epoch, digest)
                try:
                    await self._make(ticket, change)
                except ConnectionLost:  # what WConfD tells when it is back says whether it counts
                    await trio.sleep(RETRY_SECONDS)
            return
        raise GenericError("WConfD did not answer; list the filter rules to see what became of it")

    async def _make(self, ticket: Ticket, change: FilterChange) -> None:
        mirror = self.parts.mirror
        try:
            outcome = await mirror.ask(lambda wconfd: wconfd.commit(ticket, change))
            await mirror.ask(lambda wconfd: wconfd.forget(NOBODYS_JOB))
        except ConnectionLost:
            raise
        except ServiceError as error:
            raise GenericError(f"the filter rules can not be changed: {error}") from error
        match outcome:
            case Refused(invariant):
                raise GenericError(f"the filter rules can not be changed: {invariant.text}")
            case Committed(index):
                await mirror.reached(index)
            case _:
                assert_never(outcome)


def _is_made(change: FilterChange, view: View) -> bool:
    """Whether a change counts already."""
    known = view.configuration.filters
    match change:
        case AddFilter(rule) | UpdateFilter(rule):
            return known.get(rule.uuid) == rule
        case RemoveFilter(uuid):
            return uuid not in known
        case _:
            assert_never(change)


def _checked(uuid: str) -> FilterUuid:
    try:
        return FilterUuid(str(uuids.UUID(uuid)))
    except ValueError:
        raise GenericError(f"{uuid!r} is no UUID") from None
