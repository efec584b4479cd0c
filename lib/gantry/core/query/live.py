"""What a query needs besides the configuration, and what was found when it was asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, Literal

from attrs import field, frozen

from gantry.protocols.identity import InstanceUuid, JobId, NodeUuid
from gantry.protocols.job_course import JobCourse
from gantry.protocols.jobs import Job
from gantry.protocols.locks import LockState
from gantry.protocols.noded import NodeInfo
from gantry.protocols.runtime_types import ConsoleAccess, InstanceRuntime

Archive = frozenset[JobId] | Literal["all"]


@frozen
class Needs:
    """What has to be found out before a query can be answered; false if nothing.

    Offline nodes are never among the nodes to ask.
    """

    info: frozenset[NodeUuid] = frozenset()
    """Nodes whose resources are shown: ``NodeD.info``."""
    instances: frozenset[NodeUuid] = frozenset()
    """Nodes that have to say which instances run there: ``NodeD.instances``."""
    consoles: frozenset[InstanceUuid] = frozenset()
    """Instances whose console is shown: ``NodeD.console`` of the primary node."""
    exports: frozenset[NodeUuid] = frozenset()
    """Nodes that have to list the exports they keep."""
    archived: Archive = frozenset()
    """Jobs to be looked for in the archive; those not found there are just missing."""
    courses: bool = False
    """Whether it has to be found out, too, what these have gone through."""
    locks: bool = False
    """WConfD's list of locks."""

    def __bool__(self) -> bool:
        return self != NOTHING

    @property
    def of_nodes(self) -> bool:
        """Whether any node has to be asked."""
        return bool(self.info or self.instances or self.consoles or self.exports)

    def __or__(self, other: Needs) -> Needs:
        """Return what one or the other needs."""
        if other is NOTHING or self == other:
            return self
        return Needs(
            self.info | other.info,
            self.instances | other.instances,
            self.consoles | other.consoles,
            self.exports | other.exports,
            _both(self.archived, other.archived),
            self.courses or other.courses,
            self.locks or other.locks,
        )


NOTHING: Final = Needs()


def _both(one: Archive, other: Archive) -> Archive:
    return "all" if one == "all" or other == "all" else one | other


@frozen
class NodeLive:
    """What one node answered; ``None``: it was not asked, or it did not answer."""

    info: NodeInfo | None = None
    instances: Sequence[InstanceRuntime] | None = None
    exports: Sequence[str] | None = None


@frozen
class LiveData:
    """What was found; a node, console or job that is not there gave no answer in time."""

    nodes: Mapping[NodeUuid, NodeLive] = field(factory=dict)
    consoles: Mapping[InstanceUuid, ConsoleAccess] = field(factory=dict)
    archived: Mapping[JobId, Job] = field(factory=dict)
    locks: Sequence[LockState] = ()
    courses: Mapping[JobId, JobCourse] = field(factory=dict)
    """Of archived jobs: what they have gone through."""
    among: Sequence[JobId] | None = None
    """Of all jobs, which ones are shown now: whoever shows a long history does so in parts."""

    @cached_property
    def seen(self) -> Mapping[InstanceUuid, list[tuple[NodeUuid, InstanceRuntime]]]:
        """Where each instance was seen; a migration's waiting target does not count."""
        found: defaultdict[InstanceUuid, list[tuple[NodeUuid, InstanceRuntime]]]
        found = defaultdict(list)
        for node, live in self.nodes.items():
            for runtime in live.instances or ():
                if runtime.state != "incoming":
                    found[runtime.uuid].append((node, runtime))
        return found

    def answered(self, node: NodeUuid) -> bool:
        """Whether a node said which instances run there."""
        live = self.nodes.get(node)
        return live is not None and live.instances is not None


NO_LIVE_DATA: Final = LiveData()
