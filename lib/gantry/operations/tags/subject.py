"""Which object an opcode about tags is about, and which lock stands for it."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from gantry.operations.lookup import find_group, find_instance, find_network, find_node
from gantry.operations.operation import Locks, locks
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.locks import BGL, Level, LockRequest, Mode
from gantry.protocols.opcodes.tags import TagKind
from gantry.protocols.wconfd import Selection

_LEVELS: Final[dict[TagKind, Level]] = {
    "instance": "instance",
    "network": "network",
    "node": "node",
    "nodegroup": "nodegroup",
}


@frozen
class Subject:
    """An object with tags."""

    kind: TagKind
    uuid: str
    name: str
    tags: frozenset[str]


async def find_subject(kind: TagKind, name: str | None, world: World) -> Subject:
    """Return the object.

    Raises:
        OpPrereqError: there is none, or a name is missing.
    """
    if kind == "cluster":
        cluster = (await world.read(Selection())).cluster
        return Subject(kind, cluster.uuid, cluster.cluster_name, cluster.tags)
    if not name:
        raise OpPrereqError(f"say which {kind} is meant")
    match kind:
        case "instance":
            part = await world.read(Selection(instances=(name,)))
            found = find_instance(part, name)
            return Subject(kind, found.uuid, found.name, found.tags)
        case "node":
            node = find_node(await world.read(Selection(nodes=(name,))), name)
            return Subject(kind, node.uuid, node.name, node.tags)
        case "nodegroup":
            group = find_group(await world.read(Selection(groups=(name,))), name)
            return Subject(kind, group.uuid, group.name, group.tags)
        case "network":
            network = find_network(await world.read(Selection(networks=(name,))), name)
            return Subject(kind, network.uuid, network.name, network.tags)


async def lock_subject(kind: TagKind, name: str | None, mode: Mode, world: World) -> Locks:
    """Return the requests for the object's lock; the cluster's is the big lock."""
    subject = await find_subject(kind, name, world)
    if kind == "cluster":
        return (LockRequest(BGL, mode),)
    member = subject.name if kind == "instance" else subject.uuid
    return locks((_LEVELS[kind], mode, [member]))
