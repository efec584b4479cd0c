"""A cluster to test with: Ganeti's own sample configuration, and objects to add to it."""

from __future__ import annotations

import uuid
from pathlib import Path

from attrs import evolve

from gantry.core.config.apply import apply
from gantry.core.config.draft import Changed
from gantry.core.config.state import State
from gantry.core.config.verify import verify
from gantry.protocols.changes import Change
from gantry.protocols.codec import digest_of, dump, from_bytes
from gantry.protocols.identity import (
    Attempt,
    DiskUuid,
    Epoch,
    FilterUuid,
    GroupUuid,
    InstanceUuid,
    JobId,
    Key,
    LeftoverUuid,
    NetworkUuid,
    NicUuid,
    NodeUuid,
    Ticket,
)
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.objects.disk import Disk, DrbdId, FileId, VolumeId
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance, Nic
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import Invariant

SAMPLE = Path("tests/facts/samples/config.data")
NOW = 2_000_000_000.0

MASTER = NodeUuid("4d80e271-c4ae-4394-aae9-c634f98eb05e")
NODE2 = NodeUuid("30969da0-a282-463d-aea9-c0c473b1cad6")
NODE3 = NodeUuid("fb4ce8e8-3edd-40b9-9013-a988345fbfbe")
GROUP = GroupUuid("8f9bd7b4-4275-4fe4-aad6-06343271318f")
EMPTY_GROUP = GroupUuid("52ce5d64-743f-4993-9388-b04178ef8d9d")
NETWORK = NetworkUuid("0d123dd2-18d3-4a78-bb17-e560e0d5ddc8")
INST1 = InstanceUuid("05ade776-15c6-402e-9ba6-2d42e6431fde")
"""Diskless, with an address in the network."""
INST2 = InstanceUuid("6ae7d516-e9f6-40a6-9718-229b12567466")
"""With a file disk."""


def sample() -> Configuration:
    """Return the sample configuration: three nodes, two groups, three instances."""
    return load_configuration(from_bytes(SAMPLE.read_bytes()))


def sample_state() -> State:
    return State.of(sample())


def fake_uuid(name: str) -> str:
    """Return the same UUID for the same name."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def a_node(name: str, number: int) -> Node:
    template = sample().nodes[NODE3]
    return evolve(
        template,
        name=name,
        uuid=NodeUuid(fake_uuid(name)),
        primary_ip=f"10.77.1.{number}",
        secondary_ip=f"10.78.1.{number}",
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
    )


def a_group(name: str) -> NodeGroup:
    template = sample().nodegroups[EMPTY_GROUP]
    return evolve(template, name=name, uuid=GroupUuid(fake_uuid(name)), serial_no=1)


def a_nic(name: str, ip: str | None = None) -> Nic:
    digits = fake_uuid(name).replace("-", "")
    return Nic(
        mac=f"aa:00:00:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}",
        ip=ip,
        nicparams={},
        network=None if ip is None else NETWORK,
        uuid=NicUuid(fake_uuid(f"nic of {name}")),
    )


def a_network(name: str, addresses: str = "10.88.0.0/28", gateway: str | None = None) -> Network:
    return Network(
        name=name,
        network=addresses,
        gateway=gateway,
        uuid=NetworkUuid(fake_uuid(name)),
        serial_no=1,
    )


def a_file_disk(name: str, node: NodeUuid = NODE2) -> Disk:
    path = f"/srv/ganeti/file-storage/{name}/disk0"
    return Disk(
        dev_type="file",
        logical_id=FileId("loop", path),
        nodes=(node,),
        iv_name="disk/0",
        size=64,
        uuid=DiskUuid(fake_uuid(f"disk of {name}")),
        serial_no=1,
    )


def a_drbd_disk(name: str, port: int, minor: int) -> Disk:
    nodes = (NODE2, NODE3)
    volumes = tuple(
        Disk(
            dev_type="plain",
            logical_id=VolumeId("xenvg", f"{name}.disk0_{part}"),
            nodes=nodes,
            size=size,
            uuid=DiskUuid(fake_uuid(f"{part} volume of {name}")),
            serial_no=1,
        )
        for part, size in (("data", 64), ("meta", 128))
    )
    return Disk(
        dev_type="drbd",
        logical_id=DrbdId(*nodes, port, minor, minor, "secret"),
        children=volumes,
        nodes=nodes,
        iv_name="disk/0",
        size=64,
        uuid=DiskUuid(fake_uuid(f"disk of {name}")),
        serial_no=1,
    )


def an_instance(
    name: str, *disks: Disk, nic: Nic | None = None, port: int | None = None
) -> Instance:
    return Instance(
        name=name,
        primary_node=NODE2,
        os="noop",
        hypervisor="fake",
        admin_state="down",
        admin_state_source="admin",
        nics=(nic or a_nic(name),),
        disks=tuple(disk.uuid for disk in disks),
        disks_active=False,
        network_port=port,
        uuid=InstanceUuid(fake_uuid(name)),
        serial_no=1,
    )


def a_leftover(job: int, node: NodeUuid = NODE3) -> Leftover:
    key = Key(JobId(job), 0, 2, undo=True)
    return Leftover(
        node=node,
        object_kind="instance",
        object_name="gone.gnt.test",
        method="remove_disk",
        args={"disk": fake_uuid("its disk")},
        deadline_seconds=60.0,
        key=key,
        reason="node3.gnt.test did not answer",
        uuid=LeftoverUuid(fake_uuid(str(key))),
        serial_no=1,
    )


def a_rule(name: str, priority: int = 0) -> FilterRule:
    return FilterRule(
        watermark=JobId(7),
        priority=priority,
        predicates=(("jobid", [">", "id", "watermark"]),),
        action="REJECT",
        reason_trail=(("gnt:client", "maintenance", 0),),
        uuid=FilterUuid(fake_uuid(name)),
    )


def ticket(change: Change, job: int = 1, step: int = 0, attempt: int = 1, epoch: int = 1) -> Ticket:
    """Return the ticket of a step that asks for a change."""
    key = Key(JobId(job), 0, step)
    return Ticket(key, Attempt(attempt), Epoch(epoch), digest_of(dump(change, Change)))


def made(change: Change, state: State | None = None) -> State:
    """Make a change that must succeed, and check everything after it."""
    before = state or sample_state()
    result = apply(before, change, NOW)
    assert isinstance(result, Changed), result
    after = evolve(before, configuration=result.configuration, indexes=result.indexes)
    assert verify(after) == ()
    return after


def refused(change: Change, state: State | None = None) -> Invariant:
    """Make a change that must be refused, and return the rule that it would break."""
    result = apply(state or sample_state(), change, NOW)
    assert isinstance(result, Invariant)
    return result
