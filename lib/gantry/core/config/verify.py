"""Check a whole configuration: every object against every rule, and the indexes themselves."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.core.config.claims import kind_of
from gantry.core.config.rules import check
from gantry.core.config.state import State, all_objects, build_indexes
from gantry.protocols.wconfd import Invariant

CHUNK_OBJECTS = 50
"""How many objects are checked between two pauses: about a millisecond's work."""


def verify(state: State) -> tuple[Invariant, ...]:
    """Return every rule that does not hold, for every object."""
    return tuple(found for part in verify_in_parts(state) for found in part)


def verify_in_parts(state: State) -> Iterator[tuple[Invariant, ...]]:
    """Verify piece by piece, so that an event loop can do other work in between."""
    found: list[Invariant] = []
    for number, stored in enumerate(all_objects(state.configuration), start=1):
        found += check(state, stored)
        if number % CHUNK_OBJECTS == 0:
            yield tuple(found)
            found.clear()
    if build_indexes(all_objects(state.configuration)) != state.indexes:
        cluster = state.configuration.cluster
        text = "the indexes in memory differ from fresh ones; this is a defect"
        name = cluster.cluster_name
        found.append(Invariant("indexes are right", kind_of(cluster), name, text))
    yield tuple(found)
