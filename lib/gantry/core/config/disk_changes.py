"""Changes of disks, which belong to one instance or are detached."""

from __future__ import annotations

from typing import assert_never

from attrs import evolve

from gantry.core.config.accounts import ports_of
from gantry.core.config.breaches import broken
from gantry.core.config.claims import Claim, Ref
from gantry.core.config.cluster_changes import touch_cluster, with_ports
from gantry.core.config.draft import Draft, Refusal
from gantry.core.config.instance_changes import update_instance
from gantry.protocols import device_changes as changes
from gantry.protocols.device_changes import DiskChange
from gantry.protocols.identity import DiskUuid, InstanceUuid
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.instance import Instance


def change_disks(draft: Draft, change: DiskChange) -> None:
    """Make a change of a disk."""
    match change:
        case changes.AddDisk(disk, instance, index):
            _add(draft, disk)
            if instance is not None:
                _attach(draft, disk.uuid, instance, index)
        case changes.AttachDisk(uuid, instance, index):
            _attach(draft, draft.get(Disk, Ref("disk", uuid)).uuid, instance, index)
        case changes.DetachDisk(uuid):
            _detach(draft, draft.get(Disk, Ref("disk", uuid)))
        case changes.UpdateDisk(disk):
            _update(draft, disk)
        case changes.RestoreDisk(disk):
            stored = draft.get(Disk, Ref("disk", disk.uuid))
            _update(draft, evolve(draft.rebased(disk), iv_name=stored.iv_name))
        case changes.RemoveDisk(uuid):
            _remove(draft, draft.get(Disk, Ref("disk", uuid)))
        case _:
            assert_never(change)


def _add(draft: Draft, disk: Disk) -> None:
    ports = ports_of([disk])
    if ports:
        touch_cluster(draft, with_ports(draft.configuration.cluster, ports))
    draft.add(evolve(disk, iv_name=""))


def _attach(draft: Draft, disk: DiskUuid, uuid: InstanceUuid, index: int | None) -> None:
    instance = draft.get(Instance, Ref("instance", uuid))
    place = len(instance.disks) if index is None else index
    if not 0 <= place <= len(instance.disks):
        text = f"has {len(instance.disks)} disks, so that none can be put at the place {place}"
        raise Refusal(broken("disks stand side by side", instance, text))
    disks = (*instance.disks[:place], disk, *instance.disks[place:])
    update_instance(draft, evolve(instance, disks=disks))


def _detach(draft: Draft, disk: Disk) -> None:
    owner = draft.owner_of(Claim("disk", disk.uuid))
    if not isinstance(owner, Instance):
        raise Refusal(broken("detached disks were attached", disk, "belongs to no instance"))
    disks = tuple(uuid for uuid in owner.disks if uuid != disk.uuid)
    update_instance(draft, evolve(owner, disks=disks))


def _update(draft: Draft, disk: Disk) -> None:
    old = draft.get(Disk, Ref("disk", disk.uuid))
    taken, freed = ports_of([disk]), ports_of([old])
    if taken != freed:  # the new port must leave the pool before it can be the disk's
        draft.put(with_ports(draft.configuration.cluster, taken))
    draft.replace(disk)
    if taken != freed:
        touch_cluster(draft, with_ports(draft.configuration.cluster, (), freed))


def _remove(draft: Draft, disk: Disk) -> None:
    draft.remove(disk)
    freed = ports_of([disk])
    if freed:
        touch_cluster(draft, with_ports(draft.configuration.cluster, (), freed))
