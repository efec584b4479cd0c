"""Changes of instances: with them come and go disks, network ports and network addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from attrs import evolve

from gantry.core.config.accounts import mark_addresses, name_disks, ports_of
from gantry.core.config.breaches import broken
from gantry.core.config.claims import Ref
from gantry.core.config.cluster_changes import touch_cluster, with_ports
from gantry.core.config.draft import Draft, Refusal
from gantry.core.config.instance_rules import place_name
from gantry.protocols import changes
from gantry.protocols.changes import InstanceChange, SetInstanceState
from gantry.protocols.codec import Json, Malformed
from gantry.protocols.identity import DiskUuid, InstanceUuid, NodeUuid
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.wire import dump_object, load_object

EXTERNALLY_MIRRORED = frozenset({"sharedfile", "gluster", "rbd", "ext", "blockdev"})
"""Templates whose data every node reaches: the disk goes where its instance goes."""


def change_instances(draft: Draft, change: InstanceChange) -> None:
    """Make a change of an instance."""
    match change:
        case changes.AddInstance(instance, disks):
            _add(draft, instance, disks)
        case changes.UpdateInstance(instance):
            update_instance(draft, instance)
        case changes.RestoreInstance(instance):
            update_instance(draft, draft.rebased(instance))
        case changes.RenameInstance(uuid, new_name, moved):
            _rename(draft, _instance(draft, uuid), new_name, moved)
        case changes.SetInstanceState(uuid):
            _set_state(draft, _instance(draft, uuid), change)
        case changes.SetInstancePrimary(uuid, node):
            _set_primary(draft, _instance(draft, uuid), node)
        case changes.RemoveInstance(uuid):
            _remove(draft, _instance(draft, uuid))
        case _:
            assert_never(change)


def _instance(draft: Draft, uuid: InstanceUuid) -> Instance:
    return draft.get(Instance, Ref("instance", uuid))


def _add(draft: Draft, instance: Instance, disks: tuple[Disk, ...]) -> None:
    """Add an instance with its disks."""
    strangers = {disk.uuid for disk in disks} - set(instance.disks)
    if strangers:
        text = f"does not list the disk {min(strangers)} that comes with it"
        raise Refusal(broken("new disks belong to the instance", instance, text))
    taken = [*port_of(instance), *ports_of(disks)]
    touch_cluster(draft, with_ports(draft.configuration.cluster, taken))
    for disk in disks:
        draft.add(evolve(disk, iv_name=place_name(instance.disks.index(disk.uuid))))
    draft.add(instance)
    name_disks(draft, (), instance.disks)
    mark_addresses(draft, instance.nics, used=True)


def update_instance(draft: Draft, instance: Instance) -> None:
    """Replace an instance; disks, addresses and ports follow.

    Raises:
        Refusal: it is not made from the stored version, or breaks a rule.
    """
    old = draft.get(Instance, Ref("instance", instance.uuid))
    moves_port = old.network_port != instance.network_port
    if moves_port:  # the new port must leave the pool before it can be the instance's
        draft.put(with_ports(draft.configuration.cluster, port_of(instance)))
    if not draft.replace(instance):
        return
    if moves_port:
        touch_cluster(draft, with_ports(draft.configuration.cluster, (), port_of(old)))
    name_disks(draft, old.disks, instance.disks)
    if old.nics != instance.nics:
        mark_addresses(draft, old.nics, used=False)
        mark_addresses(draft, instance.nics, used=True)


def _remove(draft: Draft, instance: Instance) -> None:
    """Remove an instance with its disks; its ports and addresses are free again."""
    disks = [draft.get(Disk, Ref("disk", uuid)) for uuid in instance.disks]
    draft.remove(instance)
    for disk in disks:
        draft.remove(disk)
    freed = [*port_of(instance), *ports_of(disks)]
    touch_cluster(draft, with_ports(draft.configuration.cluster, (), freed))
    mark_addresses(draft, instance.nics, used=False)


def _rename(
    draft: Draft, instance: Instance, new_name: str, disks: Mapping[DiskUuid, Json]
) -> None:
    """Give an instance another name; some of its disks move with it."""
    for uuid, logical_id in disks.items():
        if uuid not in instance.disks:
            text = f"does not have the disk {uuid} that should move with it"
            raise Refusal(broken("moved disks belong to the instance", instance, text))
        disk = draft.get(Disk, Ref("disk", uuid))
        try:
            moved = load_object(Disk, {**dump_object(disk), "logical_id": logical_id})
        except Malformed as error:
            raise Refusal(broken("logical ids fit the template", disk, str(error))) from error
        draft.replace(moved)
    draft.replace(evolve(instance, name=new_name))


def _set_state(draft: Draft, instance: Instance, change: SetInstanceState) -> None:
    """Set what an instance should be doing; what is not given stays."""
    active = change.disks_active
    wanted = evolve(
        instance,
        admin_state=change.admin_state or instance.admin_state,
        admin_state_source=change.admin_state_source or instance.admin_state_source,
        disks_active=instance.disks_active if active is None else active,
    )
    draft.replace(wanted)


def _set_primary(draft: Draft, instance: Instance, node: NodeUuid) -> None:
    """Move an instance to another node in the books.

    Disks that every node reaches move along, so that the old node does not pass for a secondary.
    """
    if not draft.replace(evolve(instance, primary_node=node)):
        return
    for uuid in instance.disks:
        disk = draft.get(Disk, Ref("disk", uuid))
        if disk.dev_type in EXTERNALLY_MIRRORED and disk.nodes == (instance.primary_node,):
            draft.replace(evolve(disk, nodes=(node,)))


def port_of(instance: Instance) -> tuple[int, ...]:
    """Return the network port that an instance uses, if it does."""
    return () if instance.network_port is None else (instance.network_port,)
