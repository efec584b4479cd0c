"""Check a whole configuration: every object against every rule, and the indexes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import define, field

from gantry.core.config.claims import Stored, claims_of, kind_of, ref, references_of
from gantry.core.config.rules import check
from gantry.core.config.state import Indexes, State, all_objects
from gantry.protocols.wconfd import Invariant

CHUNK_OBJECTS: Final = 50
"""How many objects are checked between two pauses: about two milliseconds' work."""


def verify(state: State) -> tuple[Invariant, ...]:
    """Return every rule that does not hold, for every object."""
    return tuple(found for part in verify_in_parts(state) for found in part)


def verify_in_parts(state: State) -> Iterator[tuple[Invariant, ...]]:
    """Verify piece by piece, so that an event loop can do other work in between."""
    found: list[Invariant] = []
    seen: set[Invariant] = set()  # a disk is checked with its instance, and so is that itself
    comparison = _Comparison(state.indexes)
    for number, stored in enumerate(all_objects(state.configuration), start=1):
        for broken in check(state, stored):
            if broken not in seen:
                seen.add(broken)
                found.append(broken)
        comparison.see(stored)
        if number % CHUNK_OBJECTS == 0:
            yield tuple(found)
            found.clear()
    if not comparison.agrees():
        cluster = state.configuration.cluster
        text = "the indexes in memory are not those of the objects; this is a defect"
        name = cluster.cluster_name
        found.append(Invariant("indexes are right", kind_of(cluster), name, text))
    yield tuple(found)


@define
class _Comparison:
    """Compares indexes with what fresh ones would hold, without building those.

    Every entry that an object calls for must be there; and there must be as many as that.
    """

    indexes: Indexes
    _missing: bool = field(default=False, init=False)
    _claims: int = field(default=0, init=False)
    _references: int = field(default=0, init=False)

    def see(self, stored: Stored) -> None:
        """Look for an object's entries."""
        me = ref(stored)
        for claim in set(claims_of(stored)):
            owner = self.indexes.claims.get(claim)
            self._missing |= owner is None
            self._claims += owner == me  # a claim of two objects is one entry, and a broken rule
        for target in references_of(stored):
            self._missing |= me not in self.indexes.referrers.get(target, ())
            self._references += 1

    def agrees(self) -> bool:
        """Whether there are just the entries that were looked for."""
        references = sum(map(len, self.indexes.referrers.values()))
        return (
            not self._missing
            and self._claims == len(self.indexes.claims)
            and self._references == references
        )
