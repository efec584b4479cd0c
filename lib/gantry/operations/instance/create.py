"""OP_INSTANCE_CREATE: make an instance from an OS definition."""

from __future__ import annotations

from typing import Final

from gantry.operations.allocation import EVERY_NODE, allocator_for
from gantry.operations.hooks import with_hooks
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.names import check_instance_name
from gantry.operations.instance.new_disks import choose_template, disk_wants, new_disks
from gantry.operations.instance.new_nics import wanted_nics
from gantry.operations.instance.os_check import check_os
from gantry.operations.instance.placement import place
from gantry.operations.instance.policy import check_policy
from gantry.operations.instance.spec import check_hypervisor, instance_spec
from gantry.operations.instance.state import check_memory, set_state, start
from gantry.operations.lookup import check_takes_instances, find_node
from gantry.operations.operation import Locks, Members, Operation, locks, step
from gantry.operations.tags.add import check_tags
from gantry.operations.world import World
from gantry.protocols.changes import AddInstance, RemoveInstance
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import InstanceUuid
from gantry.protocols.noded import call
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.instance import OpInstanceCreate
from gantry.protocols.parameters.backend import parse_beparams
from gantry.protocols.parameters.hypervisor import HYPERVISORS
from gantry.protocols.parameters.parameter_set import parse_edits
from gantry.protocols.runtime_types import DiskSpec, InstanceSpec
from gantry.protocols.steps import Commit, NoUndo, Plan, Step
from gantry.protocols.wconfd import ConfigPart, Selection, Want

OS_SECONDS_MAX: Final = 3600.0
"""An OS definition that installs a whole system over a slow line."""

DISK_SECONDS_MAX: Final = 900.0

CONCERNED: Final = Selection(nodes="all", groups="all", networks="all")
"""What decides about a new instance; asked for twice, it is read once."""


async def needed_locks(opcode: OpInstanceCreate, world: World) -> Locks:
    """Lock the new name and the node, or all nodes for an allocator to choose from.

    A node that is named has to stay as it is; its resources are locked if some are taken.
    """
    _check_supported(opcode)
    part = await world.read(CONCERNED)
    new: Members = ("instance", "exclusive", [opcode.instance_name.lower()])
    if opcode.pnode is None:
        allocator_for(opcode.iallocator, part.cluster)
        return (*locks(new), *EVERY_NODE)
    node = find_node(part, opcode.pnode)
    return locks(
        new,
        ("nodegroup", "shared", [node.group]),
        ("node", "shared", [node.uuid]),
        ("node-res", "exclusive", [node.uuid] if opcode.disks or opcode.start else []),
    )


def _check_supported(opcode: OpInstanceCreate) -> None:
    """Refuse what this version can not do.

    Raises:
        OpPrereqError: with what to do instead.
    """
    if opcode.mode != "create":
        raise OpPrereqError(f"creation mode {opcode.mode} is not available in this version")
    if opcode.iallocator is not None and opcode.pnode is not None:
        text = "give either the primary node (-n) or an instance allocator (-I), not both"
        raise OpPrereqError(text, "wrong_input")
    if opcode.forthcoming or opcode.commit:
        raise OpPrereqError("forthcoming instances are not available in this version")
    if opcode.instance_communication:
        raise OpPrereqError("instance communication is not available in this version")
    if opcode.snode is not None:
        raise OpPrereqError("disks of this template have no secondary node; leave it out")


async def plan(opcode: OpInstanceCreate, world: World) -> Plan:
    """Choose everything, then make disks, note the instance, install it, start it."""
    part = await world.read(CONCERNED)
    node = await place(opcode, world, part)
    check_takes_instances(node)
    instance, disks = await _design(opcode, world, part, node)
    spec = instance_spec(part, instance, disks)
    check_policy(part.cluster, part.groups[node.group], spec, disks, force=opcode.ignore_ipolicy)
    if _installs(opcode):
        given = {
            *opcode.osparams,
            *(opcode.osparams_private or {}),
            *(opcode.osparams_secret or {}),
        }
        os_type, forced = opcode.os_type or "", opcode.force_variant
        await check_os(world, node, os_type, given, force_variant=forced)
    if opcode.start:
        await check_memory(world, node, spec)
    steps = [_make_disk(spec, disk) for disk in spec.disks]
    note = Commit(AddInstance(instance, disks))
    forget = Commit(RemoveInstance(instance.uuid))
    steps.append(step(f"add instance {instance.name}", "idempotent", note, forget))
    if _installs(opcode):
        steps.append(_install(spec, has_secrets=bool(opcode.osparams_secret)))
    if opcode.start:
        steps += [set_state(instance, "up"), start(spec)]
    names = [node.name, *(part.nodes[n].name for n in spec.secondary_nodes)]
    status = "up" if opcode.start else "down"
    told = {
        "ADD_MODE": opcode.mode,
        **instance_variables(part, instance, spec, list(disks), status),
    }
    hooks = instance_hooks("instance-add", part, spec, told)
    return with_hooks(Plan(opcode.op_id(), OPERATION.version, tuple(steps), names), hooks, part)


def _installs(opcode: OpInstanceCreate) -> bool:
    return not opcode.no_install and opcode.os_type is not None and bool(opcode.disks)


async def _design(
    opcode: OpInstanceCreate, world: World, part: ConfigPart, node: Node
) -> tuple[Instance, tuple[Disk, ...]]:
    """Return the instance with every value chosen, and its disks."""
    cluster = part.cluster
    name = await check_instance_name(world, opcode.instance_name, resolve=opcode.name_check)
    hypervisor = opcode.hypervisor or cluster.enabled_hypervisors[0]
    if hypervisor not in cluster.enabled_hypervisors:
        enabled = ", ".join(cluster.enabled_hypervisors)
        raise OpPrereqError(
            f"hypervisor {hypervisor} is not enabled on this cluster; use {enabled}"
        )
    check_hypervisor(hypervisor)
    if opcode.os_type is None and not opcode.no_install:
        raise OpPrereqError("say which OS definition to install (-o), or --no-install")
    template = choose_template(opcode, cluster)
    nics, for_disks = wanted_nics(opcode, part, part.groups[node.group]), disk_wants(opcode)
    _, uuid, *values = await world.reserve(
        *(Want("instance name", name), Want("uuid")),
        *for_disks,
        *(want for nic in nics for want in nic.wants),
    )
    disks = new_disks(opcode, template, node.uuid, values[: len(for_disks)], world.now())
    left = iter(values[len(for_disks) :])
    instance = Instance(
        name=name,
        primary_node=node.uuid,
        os=opcode.os_type or "",
        hypervisor=hypervisor,
        hvparams=parse_edits(HYPERVISORS[hypervisor], opcode.hvparams).given,
        beparams=parse_beparams(opcode.beparams).given,
        osparams={key: str(value) for key, value in opcode.osparams.items()},
        osparams_private={k: str(v.value) for k, v in (opcode.osparams_private or {}).items()},
        admin_state="down",
        admin_state_source="admin",
        nics=tuple(nic.reserved(left) for nic in nics),
        disks=tuple(disk.uuid for disk in disks),
        disks_active=False,
        ctime=world.now(),
        mtime=world.now(),
        uuid=InstanceUuid(uuid),
        serial_no=1,
        tags=check_tags(opcode.tags),
    )
    return instance, disks


def _make_disk(spec: InstanceSpec, disk: DiskSpec) -> Step:
    node = spec.primary_node
    do = call(
        node,
        lambda n, t: n.create_disk(t, spec.name, disk),
        deadline_seconds=DISK_SECONDS_MAX,
    )
    undo = call(node, lambda n, t: n.remove_disk(t, spec.name, disk))
    return step(f"create disk {disk.index}", "compensated", do, undo)


def _install(spec: InstanceSpec, *, has_secrets: bool) -> Step:
    do = call(
        spec.primary_node,
        lambda n, t: n.create_os(t, spec, False, {}),  # noqa: FBT003 - recorded, see call()
        secrets="secrets" if has_secrets else None,
        deadline_seconds=OS_SECONDS_MAX,
    )
    back = NoUndo("the disks that it wrote are removed")
    return step(f"run the create script of OS {spec.os}", "compensated", do, back)


OPERATION: Final = Operation(OpInstanceCreate, needed_locks, plan)
