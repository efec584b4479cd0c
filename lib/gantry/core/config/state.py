"""The configuration with its indexes, as one persistent value.

A changed state shares with the one before it whatever did not change, so that keeping an old
one (for a snapshot that is being written, for a change that may still fail) costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, cast

from attrs import evolve, field, frozen
from immutables import Map

from gantry.core.config.claims import (
    Claim,
    Ref,
    Stored,
    claims_of,
    kind_of,
    ref,
    references_of,
)
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.identity import Attempt, Epoch, JobId, Key
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.disk import Disk, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.wire import load_object
from gantry.protocols.records import ORIGIN, Index
from gantry.protocols.wconfd import Delta, ObjectGone, ObjectKind, ObjectPut

_MAPS: Final[dict[ObjectKind, tuple[str, ...]]] = {
    "node": ("nodes",),
    "nodegroup": ("nodegroups",),
    "instance": ("instances", "forthcoming_instances"),
    "disk": ("disks", "forthcoming_disks"),
    "network": ("networks",),
    "filter": ("filters",),
    "leftover": ("leftovers",),
}
_CLASSES: Final[dict[ObjectKind, type[Stored]]] = {
    "cluster": Cluster,
    "node": Node,
    "nodegroup": NodeGroup,
    "instance": Instance,
    "disk": Disk,
    "network": Network,
    "filter": FilterRule,
    "leftover": Leftover,
}
_FORTHCOMING_CLASSES: Final[dict[ObjectKind, type[Stored]]] = {
    "instance": ForthcomingInstance,
    "disk": ForthcomingDisk,
}

Objects = Map[str, Stored]
_Refs = Map[Ref, None]
"""A persistent set."""


@frozen
class Indexes:
    """Who has which claim, and who refers to whom."""

    claims: Map[Claim, Ref] = field(factory=Map)
    referrers: Map[Ref, _Refs] = field(factory=Map)
    """Objects that nobody refers to are not listed."""

    def replaced(self, me: Ref, old: Stored | None, new: Stored | None) -> Indexes:
        """Return the indexes after an object has changed, has come or has gone.

        What did not change is not touched.
        """
        before = set(claims_of(old)) if old is not None else set()
        after = set(claims_of(new)) if new is not None else set()
        claims = self.claims
        if before != after:
            with claims.mutate() as changing:
                for claim in before - after:
                    if changing.get(claim) == me:
                        del changing[claim]
                for claim in after - before:
                    changing[claim] = me
                claims = changing.finish()
        return Indexes(claims, self._referred(me, old, new))

    def _referred(self, me: Ref, old: Stored | None, new: Stored | None) -> Map[Ref, _Refs]:
        before = references_of(old) if old is not None else frozenset()
        after = references_of(new) if new is not None else frozenset()
        referrers = self.referrers
        for target in before - after:
            rest = referrers.get(target, _Refs())
            rest = rest.delete(me) if me in rest else rest
            if rest:
                referrers = referrers.set(target, rest)
            elif target in referrers:
                referrers = referrers.delete(target)
        for target in after - before:
            referrers = referrers.set(target, referrers.get(target, _Refs()).set(me, None))
        return referrers


@frozen
class Answer:
    """What a key was used for."""

    digest: str
    index: Index
    """The record that answers it."""


@frozen
class JobKeys:
    """What a job has changed, so that a repetition is answered and not done again."""

    attempt: Attempt
    """The newest attempt that changed something."""
    answers: Map[Key, Answer] = field(factory=Map)


@frozen
class State:
    """The configuration as of one record of its log."""

    configuration: Configuration
    indexes: Indexes
    index: Index = ORIGIN.index
    """The last record that is in it."""
    epoch: Epoch = FIRST_EPOCH
    jobs: Map[JobId, JobKeys] = field(factory=Map)

    @classmethod
    def of(
        cls,
        configuration: Configuration,
        index: Index = ORIGIN.index,
        epoch: Epoch = FIRST_EPOCH,
        jobs: Map[JobId, JobKeys] | None = None,
    ) -> State:
        """Index a configuration. Whether it keeps the rules is not looked at."""
        indexes = build_indexes(all_objects(configuration))
        return cls(configuration, indexes, index, epoch, Map() if jobs is None else jobs)

    def get(self, target: Ref) -> Stored | None:
        """Return an object, or ``None`` if there is none."""
        return find(self.configuration, target)

    def owner_of(self, claim: Claim) -> Stored | None:
        """Return the object that has a claim, if one has."""
        owner = self.indexes.claims.get(claim)
        return None if owner is None else self.get(owner)

    def referrers(self, target: Ref) -> Iterator[Stored]:
        """Return the objects that refer to one."""
        for referrer in self.indexes.referrers.get(target, Map[Ref, None]()):
            found = self.get(referrer)
            if found is not None:
                yield found


def find(configuration: Configuration, target: Ref) -> Stored | None:
    """Return an object, or ``None`` if there is none."""
    if target.kind == "cluster":
        return configuration.cluster if configuration.cluster.uuid == target.uuid else None
    for name in _MAPS.get(target.kind, ()):
        objects: Objects = getattr(configuration, name)
        if target.uuid in objects:
            return objects[target.uuid]
    return None


def all_objects(configuration: Configuration) -> Iterator[Stored]:
    """Return every object: nodes after their groups, and so on down to the cluster."""
    for kind in ("network", "nodegroup", "node", "disk", "instance", "filter", "leftover"):
        for name in _MAPS[kind]:
            yield from cast(Objects, getattr(configuration, name)).values()
    yield configuration.cluster


def build_indexes(objects: Iterable[Stored]) -> Indexes:
    """Build the indexes of all objects afresh."""
    claims: dict[Claim, Ref] = {}
    referrers: dict[Ref, dict[Ref, None]] = {}
    for stored in objects:
        me = ref(stored)
        claims.update(dict.fromkeys(claims_of(stored), me))
        for target in references_of(stored):
            referrers.setdefault(target, {})[me] = None
    persistent = {target: Map[Ref, None](them) for target, them in referrers.items()}
    return Indexes(Map(claims), Map(persistent))


def with_object(configuration: Configuration, stored: Stored) -> Configuration:
    """Return the configuration with an object put in its place; indexes are not touched."""
    if isinstance(stored, Cluster):
        return evolve(configuration, cluster=stored)
    names, uuid = _MAPS[kind_of(stored)], stored.uuid
    here = names[isinstance(stored, ForthcomingInstance | ForthcomingDisk)]
    changed = {here: cast(Objects, getattr(configuration, here)).set(uuid, stored)}
    for there in names:  # what was forthcoming has come
        objects: Objects = getattr(configuration, there)
        if there != here and uuid in objects:
            changed[there] = objects.delete(uuid)
    return _with_maps(configuration, changed)


def without_object(configuration: Configuration, target: Ref) -> Configuration:
    """Return the configuration without an object; indexes are not touched.

    Raises:
        gantry.protocols.codec.Malformed: there is no configuration without it.
    """
    if target.kind not in _MAPS:
        raise Malformed(f"a {target.kind} can not be removed")
    for name in _MAPS[target.kind]:
        objects: Objects = getattr(configuration, name)
        if target.uuid in objects:
            return _with_maps(configuration, {name: objects.delete(target.uuid)})
    return configuration


def _with_maps(configuration: Configuration, maps: Mapping[str, Objects]) -> Configuration:
    """Replace maps by name; each holds the objects of the kind that it is named for."""
    return cast("Callable[..., Configuration]", evolve)(configuration, **maps)


def load_stored(kind: ObjectKind, value: Json) -> Stored:
    """Parse the JSON form of an object.

    Raises:
        gantry.protocols.codec.Malformed: it does not fit.
    """
    is_forthcoming = isinstance(value, dict) and value.get("forthcoming") is True
    classes = _FORTHCOMING_CLASSES if is_forthcoming and kind in _FORTHCOMING_CLASSES else _CLASSES
    return load_object(classes[kind], value)


def follow(
    configuration: Configuration, indexes: Indexes, delta: Delta
) -> tuple[Configuration, Indexes]:
    """Do to a configuration what a committed delta says; it was checked when it was made.

    Raises:
        gantry.protocols.codec.Malformed: the delta holds an object of an unknown form.
    """
    for change in delta.objects:
        me = Ref(change.of, change.uuid)
        before = find(configuration, me)
        match change:
            case ObjectPut(kind, _, value):
                stored = load_stored(kind, value)
                configuration = with_object(configuration, stored)
                indexes = indexes.replaced(me, before, stored)
            case ObjectGone():
                configuration = without_object(configuration, me)
                indexes = indexes.replaced(me, before, None)
    return evolve(configuration, serial_no=delta.serial_no, mtime=delta.mtime), indexes
