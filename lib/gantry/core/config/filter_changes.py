"""Changes of job filter rules, to which no other object refers."""

from __future__ import annotations

from typing import assert_never

from gantry.core.config.claims import Ref
from gantry.core.config.draft import Draft
from gantry.protocols.changes import AddFilter, FilterChange, RemoveFilter, UpdateFilter
from gantry.protocols.objects.filter import FilterRule


def change_filters(draft: Draft, change: FilterChange) -> None:
    """Make a change of a job filter rule. Rules have no serial numbers and no times."""
    match change:
        case AddFilter(rule):
            draft.check_new(rule)
            draft.put(rule)
        case UpdateFilter(rule):
            if draft.get(FilterRule, Ref("filter", rule.uuid)) != rule:
                draft.put(rule)
        case RemoveFilter(uuid):
            draft.remove(draft.get(FilterRule, Ref("filter", uuid)))
        case _:
            assert_never(change)
