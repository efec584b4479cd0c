"""A filter rule: which jobs may enter the queue, and when they may run."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from gantry.protocols.codec import Json
from gantry.protocols.identity import FilterUuid, JobId
from gantry.protocols.objects.vocabulary import FilterVerb
from gantry.protocols.objects.wire import ConfigObject

FilterAction = FilterVerb | tuple[Literal["RATE_LIMIT"], int]
"""What a matching rule does; a rate limit carries how many of its jobs may run at once."""

Predicate = tuple[Literal["jobid", "opcode", "reason"], Json]
"""What an expression of the query language is about, and the expression."""

ReasonEntry = tuple[str, str, int]
"""Who gave a reason, the reason, and when (nanoseconds since the epoch)."""


@frozen(kw_only=True)
class FilterRule(ConfigObject):
    """A rule of the job filter; rules are tried in order of (priority, watermark, uuid)."""

    watermark: JobId
    """The last job id given out when the rule was made or changed."""
    priority: int
    """At least 0; lower ones are tried first."""
    predicates: tuple[Predicate, ...]
    """The rule matches a job if all of them do."""
    action: FilterAction
    reason_trail: tuple[ReasonEntry, ...]
    uuid: FilterUuid
