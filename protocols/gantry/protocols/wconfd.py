"""The WConfD protocol: the only way to read, change and lock the cluster's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from attrs import field, frozen
from typing_extensions import override

from gantry.protocols.changes import Change
from gantry.protocols.codec import Json
from gantry.protocols.errors import KeyConflict, NoLease, ServiceError, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Epoch, JobId, Key, NodeUuid, Ticket
from gantry.protocols.locks import (
    Blocked,
    Granted,
    Held,
    Level,
    LockName,
    LockOwner,
    LockRequest,
    LockState,
)
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.configuration import VERSION
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.records import Index
from gantry.protocols.service import Service, raises

SOCKET_NAME: Final = "wconfd"
GANETI_LINK: Final = "socket/ganeti-wconfd"

ObjectKind = Literal[
    "cluster", "node", "nodegroup", "instance", "disk", "network", "filter", "leftover"
]


@frozen
class ObjectPut:
    """An object is new or has changed; ``value`` is its JSON form in config.data."""

    of: ObjectKind
    uuid: str
    value: Json


@frozen
class ObjectGone:
    """An object was removed."""

    of: ObjectKind
    uuid: str


@frozen
class Delta:
    """What one committed record changed, with the configuration's new serial number and time."""

    index: Index
    serial_no: int
    mtime: float
    objects: tuple[ObjectPut | ObjectGone, ...]


@frozen
class Snapshot:
    """The whole configuration as of ``index``."""

    index: Index
    epoch: Epoch
    configuration: Mapping[str, Json]


@frozen
class Deltas:
    """Committed changes, oldest first, without gaps."""

    deltas: tuple[Delta, ...]


@frozen
class Invariant:
    """A rule of the configuration that does not hold, and for which object."""

    rule: str
    kind: str
    object: str
    """The object's name or UUID."""
    text: str


@frozen
class Committed:
    """The change is durable; asking again with its key gives this answer again."""

    index: Index


@frozen
class Refused:
    """Nothing was changed."""

    invariant: Invariant


@frozen
class NeverSeen:
    """No change with this key was committed."""


@frozen
class Selection:
    """Which part of the configuration is wanted.

    An instance brings its disks with it. Names and UUIDs both find an object; one that does not
    exist is simply not in the answer.
    """

    nodes: tuple[str, ...] | Literal["all"] = ()
    groups: tuple[str, ...] | Literal["all"] = ()
    instances: tuple[str, ...] | Literal["all"] = ()
    networks: tuple[str, ...] | Literal["all"] = ()
    instances_of_nodes: tuple[NodeUuid, ...] = ()
    """Also the instances whose primary or secondary node is one of these."""
    leftovers_of_nodes: tuple[NodeUuid, ...] | Literal["all"] = ()
    """The left-overs on these nodes."""


@frozen
class ConfigPart:
    """A part of the configuration; the cluster's own object always belongs to it."""

    index: Index
    cluster: Cluster
    nodes: Mapping[str, Node]
    groups: Mapping[str, NodeGroup]
    instances: Mapping[str, Instance]
    disks: Mapping[str, Disk]
    networks: Mapping[str, Network]
    version: int = VERSION
    """The version of the schema that the configuration came with."""
    leftovers: Mapping[str, Leftover] = field(factory=dict)
    has_leftovers: bool = True
    """Whether there are any left-overs in the whole configuration; seldom there are."""


WantedKind = Literal[
    "instance name",
    "node name",
    "node group name",
    "network name",
    "mac",
    "uuid",
    "port",
    "ip",
    "lv",
    "minor",
    "secret",
]
"""Names and logical volumes (``group/volume``) can only be asked for; the others are made up, too.

A ``minor`` is that of a mirrored disk on one node, a ``secret`` what its two ends know: that is
drawn, and kept for nobody.
"""


@frozen
class Want:
    """Reserve a value: this one, or (``None``) a fresh one of WConfD's choice."""

    kind: WantedKind
    value: str | None = None
    network: str | None = None
    """For ``mac`` and ``ip``: the network's UUID."""
    node: NodeUuid | None = None
    """For ``minor``: where the disk is mirrored to or from."""


@frozen
class Taken:
    """A wanted value is used already; nothing was reserved."""

    wanted: str
    """The kind of the value."""
    value: str
    by: str


@frozen
class Reserved:
    """The wanted values, in order; they belong to the job until it ends."""

    values: tuple[str, ...]


@frozen
class LivingJob:
    """An unfinished job, as LuxiD names it to a WConfD that has just started."""

    owner: LockOwner
    held: tuple[Held, ...] = ()
    """What the queue knows of its locks: a WConfD that knows nothing of the job gives them back."""
    reserved: tuple[Want, ...] = ()
    """As :attr:`held`; each with its value."""


@frozen
class LockOrderViolated(ServiceError):
    """A lock was asked for below one that is held already."""

    asked: LockName
    held: LockName

    @override
    def sentence(self) -> str:
        return f"order violation: {self.asked} may not be asked for while holding {self.held}"


@frozen
class NotReady(ServiceError):
    """WConfD has started and grants nothing until LuxiD has named the unfinished jobs."""

    @override
    def sentence(self) -> str:
        return "locks are not granted yet: the unfinished jobs have not been named"


@frozen
class NotDurable(ServiceError):
    """The change could not be written; nothing was changed. Reads go on."""

    reason: str

    @override
    def sentence(self) -> str:
        return (
            f"the configuration can not be written: {self.reason}; "
            "free space or mend the disk, and try again"
        )


@frozen
class WConfdStatus:
    """Figures about the daemon."""

    epoch: Epoch
    index: Index
    serial_no: int
    journal_bytes: int
    flushes: int
    bytes_written: int
    locks: int
    ready: bool
    """Whether locks are granted: LuxiD has named all unfinished jobs."""
    confirmed: bool
    """Whether the voters have confirmed what the journal held at the start: until then readers see
    what the snapshot has, though more may count."""


class WConfD(Protocol):
    """Sole owner of ``config.data`` and ``locks.data``."""

    async def status(self) -> WConfdStatus:
        """Return figures about the daemon."""

    async def snapshot(self) -> Snapshot:
        """Return the whole configuration."""

    async def deltas(self, since: Index) -> Deltas | Snapshot:
        """Wait for changes later than ``since``; a snapshot if those are no longer kept."""

    async def read(self, selection: Selection) -> ConfigPart:
        """Return a part of the configuration, read at one moment."""

    @raises(StaleAttempt, StaleEpoch, NoLease, KeyConflict, NotDurable)
    async def commit(self, ticket: Ticket, change: Change) -> Committed | Refused:
        """Change the configuration; answered when the change is durable."""

    @raises(NoLease)
    async def outcome(self, key: Key) -> Committed | NeverSeen:
        """Say whether a change with this key was committed."""

    async def forget(self, job: JobId) -> None:
        """Forget the keys of a job whose final record is committed."""

    async def verify(self) -> tuple[Invariant, ...]:
        """Check every object against every rule, and the indexes against fresh ones."""

    @raises(NotDurable)
    async def flush(self) -> None:
        """Rewrite ``config.data`` now."""

    @raises(LockOrderViolated, StaleAttempt, NotDurable)
    async def lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...], priority: int
    ) -> Granted:
        """Change an owner's locks, level by level in the fixed order; wait in line where needed.

        Those of one level are changed all or none. A cancelled call withdraws what still waits;
        what was got at the levels below stays. Until LuxiD has named the unfinished jobs every
        call waits. A grant that could not be stored stays with the job: asking again repeats it.
        """

    @raises(LockOrderViolated, StaleAttempt, NotReady, NotDurable)
    async def try_lock(
        self, owner: LockOwner, requests: tuple[LockRequest, ...]
    ) -> Granted | Blocked:
        """Change an owner's locks, all or none, without waiting."""

    async def blockers(self, owner: LockOwner) -> tuple[JobId, ...]:
        """Return the jobs that the owner's waiting request waits for."""

    async def set_lock_priority(self, owner: LockOwner, priority: int) -> None:
        """Change the priority of a waiting request."""

    @raises(StaleAttempt)
    async def release(self, owner: LockOwner, level: Level | None) -> None:
        """Release an owner's locks of one level, or all of them and its reservations."""

    async def locks(self) -> tuple[LockState, ...]:
        """Return every lock that is held or waited for."""

    @raises(StaleAttempt, NotDurable)
    async def reserve(self, owner: LockOwner, wants: tuple[Want, ...]) -> Reserved | Taken:
        """Reserve values for a job, all or none; waits as :meth:`lock` does after a start."""

    @raises(StaleEpoch, NoLease, NotDurable)
    async def name_jobs(self, epoch: Epoch, jobs: tuple[LivingJob, ...]) -> None:
        """Name all unfinished jobs; what others hold is freed, then locks are granted.

        What these jobs are known to hold, and this WConfD does not know of, is given back to them.
        """

    @raises(StaleAttempt, NotDurable)
    async def adopt(self, owner: LockOwner) -> None:
        """Hand the locks and reservations of a job's earlier attempts to a new attempt."""

    @raises(StaleEpoch, NoLease)
    async def follow_voters(self, epoch: Epoch, voters: tuple[NodeUuid, ...]) -> None:
        """Say who votes on the queue's stream, settled; the voters' next change waits for that."""

    async def alone(self, known: Index | None) -> Index | None:
        """Wait until the master goes on alone since another record than ``known``; return that.

        ``None``: it does not go on alone, or the other voter has everything again.
        """

    async def drop_job(self, job: JobId) -> None:
        """Free what a finished job still holds: locks, reservations, keys."""


WCONFD: Final = Service(WConfD)
