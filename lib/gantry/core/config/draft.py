"""A configuration while one change is being made to it.

A draft collects what a change touches; :meth:`Draft.finish` checks that against the rules and
makes the new state and the delta of it, or says which rule would be broken.
"""

from __future__ import annotations

from typing import TypeVar

from attrs import define, evolve, field, frozen

from gantry.core.config.breaches import broken
from gantry.core.config.claims import Claim, Ref, Stored, claims_of, kind_of, ref, shown
from gantry.core.config.rules import check
from gantry.core.config.state import Indexes, State, with_object, without_object
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.wire import dump_object
from gantry.protocols.wconfd import Invariant, ObjectGone, ObjectPut

Found = TypeVar("Found", bound=Stored)
Versioned = TypeVar("Versioned", Cluster, Node, NodeGroup, Instance, Disk, Network, Leftover)


class Refusal(Exception):
    """A change breaks a rule. Never leaves this package: it becomes a value there."""

    def __init__(self, invariant: Invariant) -> None:
        super().__init__(invariant.text)
        self.invariant = invariant


@frozen
class Changed:
    """A change that keeps all rules."""

    configuration: Configuration
    indexes: Indexes
    objects: tuple[ObjectPut | ObjectGone, ...]
    new_claims: frozenset[Claim]
    """What the change claims that was not claimed before."""


@define
class Draft:
    """A configuration with a change half made."""

    before: State
    now: float
    """Seconds since the epoch; times of changed objects never go back."""
    configuration: Configuration
    indexes: Indexes
    _touched: dict[Ref, Stored | None] = field(factory=dict, init=False)
    _claimed: set[Claim] = field(factory=set, init=False)

    @classmethod
    def of(cls, state: State, now: float) -> Draft:
        """Begin to change a state."""
        return cls(state, now, state.configuration, state.indexes)

    def get(self, cls: type[Found], target: Ref) -> Found:
        """Return an object of a class.

        Raises:
            Refusal: there is none.
        """
        found = self._state().get(target)
        if not isinstance(found, cls):
            text = f"there is no {target.kind} with the UUID {target.uuid}"
            raise Refusal(Invariant("the object exists", target.kind, target.uuid, text))
        return found

    def add(self, stored: Versioned) -> None:
        """Put a new object in.

        Raises:
            Refusal: its UUID, or another value that must be unique, is in use.
        """
        self.check_new(stored)
        made = stored.ctime or self.now
        self.put(evolve(stored, serial_no=1, ctime=made, mtime=stored.mtime or made))

    def check_new(self, stored: Stored) -> None:
        """Check that nothing has an object's UUID yet.

        Raises:
            Refusal: something has.
        """
        self._check_free(Claim("uuid", stored.uuid), stored)

    def rebased(self, earlier: Versioned) -> Versioned:
        """Return an earlier version of an object with the serial number that is stored now.

        Raises:
            Refusal: the object does not exist any more.
        """
        return evolve(earlier, serial_no=self.get(type(earlier), ref(earlier)).serial_no)

    def replace(self, stored: Versioned) -> bool:
        """Put a changed object in, if it differs, with the next serial number and the time.

        However often it is replaced while one change is made, it counts as one.

        Raises:
            Refusal: it is not made from the stored object's present version.
        """
        old = self.get(type(stored), ref(stored))
        if stored.serial_no != old.serial_no:
            text = (
                f"was changed meanwhile: serial number {stored.serial_no} was given, "
                f"{old.serial_no} is stored; read it again and repeat the change"
            )
            raise Refusal(broken("changes build on the stored version", stored, text))
        same = evolve(stored, ctime=old.ctime, mtime=old.mtime)
        if same == old:
            return False
        first = self.before.get(ref(stored))
        counts = isinstance(first, type(stored)) and first.serial_no == old.serial_no
        serial_no = old.serial_no + 1 if counts else old.serial_no
        self.put(evolve(same, serial_no=serial_no, mtime=max(self.now, old.mtime)))
        return True

    def put(self, stored: Stored) -> None:
        """Put an object in as it is.

        Raises:
            Refusal: a value that must be unique belongs to another object.
        """
        me = ref(stored)
        old = self._state().get(me)
        new = set(claims_of(stored)).difference(claims_of(old) if old else ())
        for claim in sorted(new):
            self._check_free(claim, stored)
        self._claimed |= new
        self.configuration = with_object(self.configuration, stored)
        self.indexes = self.indexes.replaced(me, old, stored)
        self._touched[me] = stored

    def _check_free(self, claim: Claim, stored: Stored) -> None:
        owner = self._state().owner_of(claim)
        if owner is not None:
            text = f"{claim.space} {claim.value} belongs to {kind_of(owner)} {shown(owner)}"
            raise Refusal(broken("values are unique", stored, text))

    def remove(self, stored: Stored) -> None:
        """Take an object out.

        Raises:
            Refusal: others refer to it.
        """
        me = ref(stored)
        users = sorted(f"{kind_of(user)} {shown(user)}" for user in self.users(stored))
        if users:
            more = f" and {len(users) - 3} more" if len(users) > 3 else ""
            text = f"is used by {', '.join(users[:3])}{more}"
            raise Refusal(broken("what is used stays", stored, text))
        self.configuration = without_object(self.configuration, me)
        self.indexes = self.indexes.replaced(me, stored, None)
        self._touched[me] = None

    def owner_of(self, claim: Claim) -> Stored | None:
        """Return the object that has a claim, if one has."""
        return self._state().owner_of(claim)

    def users(self, stored: Stored) -> tuple[Stored, ...]:
        """Return the objects that refer to one."""
        return tuple(self._state().referrers(ref(stored)))

    def finish(self) -> Changed:
        """Check the rules of everything that was touched.

        What was broken before, in a configuration that came from elsewhere, may stay so: else
        nobody could mend it bit by bit.

        Raises:
            Refusal: a rule is broken.
        """
        state = self._state()
        for me, stored in self._touched.items():
            for invariant in check(state, stored) if stored is not None else ():
                if invariant not in self._broken_before(me):
                    raise Refusal(invariant)
        objects = tuple(_delta_of(me, stored) for me, stored in self._touched.items())
        configuration = self.configuration
        if objects:
            configuration = evolve(
                configuration,
                serial_no=configuration.serial_no + 1,
                mtime=max(self.now, configuration.mtime),
            )
        return Changed(configuration, self.indexes, objects, frozenset(self._claimed))

    def _broken_before(self, me: Ref) -> tuple[Invariant, ...]:
        old = self.before.get(me)
        return () if old is None else tuple(check(self.before, old))

    def _state(self) -> State:
        return evolve(self.before, configuration=self.configuration, indexes=self.indexes)


def _delta_of(me: Ref, stored: Stored | None) -> ObjectPut | ObjectGone:
    if stored is None:
        return ObjectGone(me.kind, me.uuid)
    return ObjectPut(me.kind, me.uuid, dump_object(stored))
