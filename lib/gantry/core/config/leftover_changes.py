"""Changes of left-overs, to which no other object refers."""

from __future__ import annotations

from typing import assert_never

from gantry.core.config.draft import Draft
from gantry.protocols.changes import AddLeftover, LeftoverChange, RemoveLeftover, UpdateLeftover


def change_leftovers(draft: Draft, change: LeftoverChange) -> None:
    """Make a change of a left-over."""
    match change:
        case AddLeftover(leftover):
            draft.add(leftover)
        case UpdateLeftover(leftover):
            draft.replace(leftover)
        case RemoveLeftover(uuid):
            found = draft.configuration.leftovers.get(uuid)
            if found is not None:
                draft.remove(found)
        case _:
            assert_never(change)
