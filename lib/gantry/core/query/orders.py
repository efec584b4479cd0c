"""Instances in the order in which they are shown, and who refers to them, kept up to date.

To sort thousands of names, or to go through thousands of instances, takes longer than one
client's query may keep the others waiting; to put one instance into its place does not.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from attrs import frozen

from gantry.core.query.sorting import nice_key
from gantry.protocols.identity import NetworkUuid, NodeUuid
from gantry.protocols.objects.instance import ForthcomingInstance, Instance

AnyInstance = Instance | ForthcomingInstance

K = TypeVar("K")


def order(name: str) -> tuple[tuple[str | int, ...], str]:
    """Return what names are sorted by: nicely, and always in the same way."""
    return nice_key(name), name


def place(instance: AnyInstance) -> tuple[tuple[str | int, ...], str]:
    """Return what instances are sorted by; what has no name yet comes first."""
    return order(instance.name or "")


@frozen
class Seat:
    """An instance's name, and whatever lists it by that name."""

    name: str
    primary: NodeUuid | None
    secondaries: tuple[NodeUuid, ...]
    networks: frozenset[NetworkUuid]


@frozen
class Directory:
    """All instances in order, and their names by what they refer to; every list is in order.

    Lists are never changed: a directory after a change shares with the one before it whatever
    did not change.
    """

    instances: list[AnyInstance]
    primaries: Mapping[NodeUuid, list[str]]
    secondaries: Mapping[NodeUuid, list[str]]
    network_users: Mapping[NetworkUuid, list[str]]

    @classmethod
    def of(cls, instances: Iterable[tuple[AnyInstance, Seat]]) -> Directory:
        """List all instances."""
        primaries: defaultdict[NodeUuid, list[str]] = defaultdict(list)
        secondaries: defaultdict[NodeUuid, list[str]] = defaultdict(list)
        network_users: defaultdict[NetworkUuid, list[str]] = defaultdict(list)
        found = sorted(instances, key=lambda pair: place(pair[0]))
        for _, seat in found:
            if seat.primary is not None:
                primaries[seat.primary].append(seat.name)
            for node in seat.secondaries:
                secondaries[node].append(seat.name)
            for network in seat.networks:
                network_users[network].append(seat.name)
        listed = [instance for instance, _ in found]
        return cls(listed, dict(primaries), dict(secondaries), dict(network_users))

    def without(self, instance: AnyInstance, seat: Seat) -> Directory:
        """Return the directory without an instance."""
        instances = self.instances.copy()
        at = bisect_left(instances, place(instance), key=place)
        while instances[at].uuid != instance.uuid:  # several may have no name yet
            at += 1
        del instances[at]
        return Directory(
            instances,
            _without(self.primaries, _primary(seat), seat.name),
            _without(self.secondaries, seat.secondaries, seat.name),
            _without(self.network_users, seat.networks, seat.name),
        )

    def with_(self, instance: AnyInstance, seat: Seat) -> Directory:
        """Return the directory with one more instance."""
        instances = self.instances.copy()
        insort(instances, instance, key=place)
        return Directory(
            instances,
            _with(self.primaries, _primary(seat), seat.name),
            _with(self.secondaries, seat.secondaries, seat.name),
            _with(self.network_users, seat.networks, seat.name),
        )


def _primary(seat: Seat) -> tuple[NodeUuid, ...]:
    return () if seat.primary is None else (seat.primary,)


def _without(names: Mapping[K, list[str]], keys: Iterable[K], name: str) -> Mapping[K, list[str]]:
    changed = {key: names[key].copy() for key in keys}
    for each in changed.values():
        each.remove(name)
    return {**names, **changed} if changed else names


def _with(names: Mapping[K, list[str]], keys: Iterable[K], name: str) -> Mapping[K, list[str]]:
    changed = {key: names.get(key, []).copy() for key in keys}
    for each in changed.values():
        insort(each, name, key=order)
    return {**names, **changed} if changed else names


def named(instances: list[AnyInstance], name: str) -> AnyInstance | None:
    """Return the instance of a name."""
    at = bisect_left(instances, order(name), key=place)
    found = instances[at] if at < len(instances) else None
    return found if found is not None and name and found.name == name else None


def beginning_with(instances: list[AnyInstance], beginning: str) -> AnyInstance | None:
    """Return the only instance whose name, up to a dot, begins in a way; ``None`` if not one."""
    wanted = beginning + "."
    at, found = bisect_left(instances, nice_key(wanted), key=_nice_place), None
    while at < len(instances) and _may_begin(instances[at].name or "", wanted):
        if (instances[at].name or "").startswith(wanted):
            if found is not None:
                return None
            found = instances[at]
        at += 1
    return found


def _nice_place(instance: AnyInstance) -> tuple[str | int, ...]:
    return nice_key(instance.name or "")


def _may_begin(name: str, wanted: str) -> bool:
    """Whether a name is sorted among those that begin like this: zeros before a number differ."""
    theirs, ours = nice_key(name), nice_key(wanted)
    last = len(ours) - 1
    return theirs[:last] == ours[:last] and str(theirs[last]).startswith(str(ours[last]))
