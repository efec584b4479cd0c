"""Who votes, what counts as a majority, and up to where a set of voters holds a log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.configuration import Configuration

LEASE_SECONDS: Final = 10.0
"""A majority must have answered within this time, counted from sending."""

SOLO_SECONDS: Final = 10.0
"""A master with one other voter goes on alone when that one was silent for so long."""

PROMOTION_SECONDS: Final = 15.0
"""How long a promotion waits for the lease of a master that did not confirm its stop."""

N = TypeVar("N", bound=float)


def voters_of(configuration: Configuration) -> frozenset[NodeUuid]:
    """Return the master candidates that are not offline, and the master."""
    candidates = {
        node.uuid
        for node in configuration.nodes.values()
        if node.master_candidate and not node.offline
    }
    return frozenset(candidates | {configuration.cluster.master_node})


def is_majority(some: Collection[NodeUuid], voters: Collection[NodeUuid]) -> bool:
    """Whether these are more than half of the voters; others do not count."""
    return 2 * len(set(some) & set(voters)) > len(voters)


def reached(values: Mapping[NodeUuid, N], voters: Collection[NodeUuid], missing: N) -> N:
    """Return the greatest value that a majority of the voters has reached.

    Args:
        values: by voter.
        voters: those who count; at least one.
        missing: the value of a voter that has none.
    """
    ordered = sorted((values.get(voter, missing) for voter in voters), reverse=True)
    return ordered[len(ordered) // 2]
