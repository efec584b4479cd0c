"""What an instance allocator is asked, and what it answers.

An allocator is a program on the master: it is called with the path of a file that holds the
cluster and the request as JSON, and writes its answer as JSON on standard output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from attrs import field, frozen

from gantry.protocols.codec import Json, Malformed, from_bytes

VERSION: Final = 2

FOLDERS: Final = (
    "/usr/local/lib/ganeti/iallocators",
    "/usr/lib/ganeti/iallocators",
    "/usr/lib/ganeti/3.0/usr/lib/ganeti/iallocators",
)
"""Where allocators are looked for, in this order; the last one is where Debian's packages of
htools have them without the rest of Ganeti."""

DEFAULT: Final = "."
"""Stands for the cluster's default allocator."""


@frozen
class Allocate:
    """Find nodes for a new instance."""

    name: str
    disk_template: str
    hypervisor: str
    os: str
    vcpus: int
    memory_mib: int
    spindle_use: int
    disks: tuple[Mapping[str, Json], ...]
    """At least ``size`` (MiB) and ``mode`` of each."""
    nics: tuple[Mapping[str, Json], ...]
    tags: tuple[str, ...] = ()
    group_name: str | None = None
    """The only node group that is allowed, if not all are."""

    def as_json(self) -> dict[str, Json]:
        """Return the request."""
        return {
            "type": "allocate",
            "name": self.name,
            "disk_template": self.disk_template,
            "group_name": self.group_name,
            "tags": list(self.tags),
            "os": self.os,
            "vcpus": self.vcpus,
            "memory": self.memory_mib,
            "spindle_use": self.spindle_use,
            "disks": [{**disk, "dev_type": self.disk_template} for disk in self.disks],
            "disk_space_total": disk_space(self.disk_template, [d["size"] for d in self.disks]),
            "nics": [dict(nic) for nic in self.nics],
            "required_nodes": 2 if self.disk_template == "drbd" else 1,
            "hypervisor": self.hypervisor,
        }


@frozen
class Relocate:
    """Find another node for an instance."""

    name: str
    relocate_from: tuple[str, ...]
    """Names of the nodes that it is to leave."""
    disk_space_mib: int

    def as_json(self) -> dict[str, Json]:
        """Return the request."""
        return {
            "type": "relocate",
            "name": self.name,
            "disk_space_total": self.disk_space_mib,
            "required_nodes": 1,
            "relocate_from": list(self.relocate_from),
        }


EvacuationMode = Literal["primary-only", "secondary-only", "all"]


@frozen
class Evacuate:
    """Find out how instances leave the nodes that they are on."""

    instances: tuple[str, ...]
    mode: EvacuationMode

    def as_json(self) -> dict[str, Json]:
        """Return the request."""
        instances = list(self.instances)
        return {"type": "node-evacuate", "instances": instances, "evac_mode": self.mode}


Placement = Allocate | Relocate
Request = Placement | Evacuate

DRBD_META_MIB: Final = 128
NO_SPACE: Final = frozenset({"diskless", "blockdev"})


def disk_space(template: str, sizes: list[Json]) -> int:
    """Return the MiB that disks of a template take on a node."""
    if template in NO_SPACE:
        return 0
    extra = DRBD_META_MIB if template == "drbd" else 0
    return sum(size + extra for size in sizes if isinstance(size, int))


@frozen
class Answer:
    """What an allocator answered."""

    success: bool
    info: str
    result: Json = field(default=None)


def parse_answer(output: bytes) -> Answer:
    """Read what an allocator wrote.

    Raises:
        Malformed: it is not an answer.
    """
    match from_bytes(output):
        case {"success": bool(success), "info": str(info), "result": result}:
            return Answer(success, info, result)
        case {"success": bool(success), "info": str(info), "nodes": nodes}:  # the older name
            return Answer(success, info, nodes)
        case other:
            keys = sorted(other) if isinstance(other, dict) else type(other).__name__
            raise Malformed(f"an allocator answers with success, info and result, not {keys}")


def nodes_of(answer: Answer, count: int) -> tuple[str, ...]:
    """Return the names of the nodes that an allocator chose.

    Raises:
        Malformed: they are not as many names as were asked for.
    """
    match answer.result:
        case list(names) if len(names) == count and all(isinstance(name, str) for name in names):
            return tuple(str(name) for name in names)
        case other:
            raise Malformed(f"an allocator was asked for {count} nodes and answered {other!r:.200}")


@frozen
class Evacuation:
    """How instances leave their nodes."""

    failed: Mapping[str, str]
    """By instance: why there is no way."""
    jobs: tuple[tuple[Mapping[str, Json], ...], ...]
    """Opcodes in their JSON form."""


def evacuation_of(answer: Answer) -> Evacuation:
    """Return the jobs that an allocator wants to be submitted.

    Raises:
        Malformed: the answer is none to such a request.
    """
    match answer.result:
        case [list(), list(failed), list(jobs)]:
            pass
        case other:
            raise Malformed(f"an allocator answered {other!r:.200} when asked how to evacuate")
    for job in jobs:
        if not isinstance(job, list) or not all(isinstance(each, dict) for each in job):
            raise Malformed(f"a job is a list of opcodes, not {job!r:.200}")
    reasons: dict[str, str] = {}
    for each in failed:
        match each:
            case [str(name), reason]:
                reasons[name] = str(reason)
            case _:
                raise Malformed(f"what failed is an instance and a reason, not {each!r:.200}")
    return Evacuation(reasons, tuple(tuple(job) for job in jobs))


def arguments(parameters: Mapping[str, Json]) -> Iterator[str]:
    """Yield the arguments by which the cluster's parameters for allocators are given."""
    for name, value in parameters.items():
        yield f"--{name}" if value is None else f"--{name}={value}"
