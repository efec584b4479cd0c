"""Jobs in line: who is first is known without looking at the others.

A leftist heap (Crane 1972), which shares what has not changed with the line that it was made of.
Who leaves the line from its middle stays in the heap until he would be first, or until most of
the heap are such.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import field, frozen
from immutables import Map

from gantry.protocols.identity import JobId

Rank = tuple[int, JobId]
"""Priority and id: the smallest begins first."""

_Heap: TypeAlias = tuple[Rank, int, "_Heap", "_Heap"] | None
"""A rank that none below is smaller than, the length of the right spine, and what is below."""

LEFT_MAX: Final = 64
"""So many who have left may be in the heap of a short line; in that of a long one, half of it."""


@frozen
class Line:
    """Jobs with their ranks."""

    _ranks: Map[JobId, Rank] = field(factory=Map, alias="ranks")
    _heap: _Heap = field(default=None, alias="heap", eq=False, repr=False)
    in_heap: int = field(default=0, eq=False, repr=False)
    """How many are in the heap: those in line, and some who have left."""

    def __contains__(self, job: object) -> bool:
        return job in self._ranks

    def __len__(self) -> int:
        return len(self._ranks)

    def __iter__(self) -> Iterator[JobId]:
        return iter(self._ranks)

    def with_rank(self, job: JobId, rank: Rank | None) -> Line:
        """Return the line with a job in it at a rank, or (``None``) without it."""
        if self._ranks.get(job) == rank:
            return self
        if rank is None:
            return _tidied(self._ranks.delete(job), self._heap, self.in_heap)
        heap = _merged(self._heap, (rank, 1, None, None))
        return _tidied(self._ranks.set(job, rank), heap, self.in_heap + 1)

    def ranks(self) -> Iterator[Rank]:
        """Yield the ranks in no order."""
        return iter(self._ranks.values())

    def in_order(self) -> Iterator[Rank]:
        """Yield the ranks, the first one first; each costs as much as it has gone before."""
        frontier = [] if self._heap is None else [(self._heap[0], 0, self._heap)]
        count, last = 0, None
        while frontier:
            rank, _, heap = heapq.heappop(frontier)
            if rank != last and self._ranks.get(rank[1]) == rank:
                yield rank
            last = rank
            for below in heap[2:]:
                if below is not None:
                    count += 1  # so that no two heaps are compared
                    heapq.heappush(frontier, (below[0], count, below))


def _tidied(ranks: Map[JobId, Rank], heap: _Heap, size: int) -> Line:
    """Return the line after those have gone from its heap who would be first, but have left."""
    if size > 2 * len(ranks) + LEFT_MAX:
        heap, size = None, len(ranks)
        for rank in sorted(ranks.values(), reverse=True):  # so each becomes the root at once
            heap = _merged(heap, (rank, 1, None, None))
    while heap is not None and ranks.get(heap[0][1]) != heap[0]:
        heap, size = _merged(heap[2], heap[3]), size - 1
    return Line(ranks, heap, size)


def _merged(one: _Heap, other: _Heap) -> _Heap:
    """Return one heap of two; as deep as their right spines, which are short."""
    if one is None or other is None:
        return one or other
    if other[0] < one[0]:
        one, other = other, one
    rank, _, left, right = one
    right = _merged(right, other)
    if left is None or (right is not None and left[1] < right[1]):
        left, right = right, left
    return (rank, 1 if right is None else right[1] + 1, left, right)
