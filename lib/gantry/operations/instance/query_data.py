"""OP_INSTANCE_QUERY_DATA: return all details of instances, in the shape of Ganeti's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from gantry.core.query.view import View
from gantry.operations.instance.spec import disk_spec
from gantry.operations.lookup import disks_of, find_instance, template_of
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.whole import EVERYTHING, view_of
from gantry.operations.world import NoAnswer, World
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import Check, CheckReport
from gantry.protocols.objects.disk import Disk, FileId
from gantry.protocols.objects.instance import Instance, Nic
from gantry.protocols.objects.wire import dump_object
from gantry.protocols.opcodes.instance import OpInstanceQueryData
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import ConfigPart

LOCAL_DISK_OKAY: Final = 1
"""Ganeti's number for a disk whose data is all there."""


@frozen
class Seen:
    """What the configuration says, and what nodes said if they were asked."""

    part: ConfigPart
    view: View
    reports: Mapping[NodeUuid, CheckReport | NoAnswer]
    """Empty if only the configuration is wanted."""

    def report(self, instance: Instance) -> CheckReport | None:
        """Return what the primary node said."""
        found = self.reports.get(instance.primary_node)
        return found if isinstance(found, CheckReport) else None


async def needed_locks(opcode: OpInstanceQueryData, world: World) -> Locks:
    """Lock the instances and their nodes shared, where nodes are asked or that is wanted."""
    if opcode.static and not opcode.use_locking:
        return locks()
    part = await world.read(EVERYTHING)
    wanted = _wanted(opcode, part)
    groups = {part.nodes[each.primary_node].group for each in wanted}
    return locks(
        ("instance", "shared", [each.name for each in wanted]),
        ("nodegroup", "shared", groups),
        ("node", "shared", [each.primary_node for each in wanted]),
        ("network", "shared", [nic.network for i in wanted for nic in i.nics if nic.network]),
    )


def _wanted(opcode: OpInstanceQueryData, part: ConfigPart) -> list[Instance]:
    if opcode.instances:
        return [find_instance(part, name) for name in opcode.instances]
    return sorted(part.instances.values(), key=lambda each: each.name)


async def plan(opcode: OpInstanceQueryData, world: World) -> Plan:
    """Ask the primary nodes of all instances at once."""
    part = await world.read(EVERYTHING)
    wanted = _wanted(opcode, part)
    checks = {} if opcode.static else _checks(part, wanted)
    for uuid in {each.primary_node for each in wanted} - checks.keys():
        if part.nodes[uuid].offline and not opcode.static:
            world.say(f"WARNING: node {part.nodes[uuid].name} is offline and was not asked")
    asked = [part.nodes[uuid] for uuid in checks]
    reports = await world.ask_all(asked, lambda node, n: n.verify(checks[node.uuid]))
    seen = Seen(part, view_of(part), reports)
    result = {each.name: _described(seen, each) for each in wanted}
    return Plan(opcode.op_id(), OPERATION.version, (), result)


def _checks(part: ConfigPart, instances: list[Instance]) -> dict[NodeUuid, Check]:
    """Return by node what it has to look at."""
    checks: dict[NodeUuid, Check] = {}
    hypervisors = tuple(part.cluster.enabled_hypervisors)
    for instance in instances:
        if part.nodes[instance.primary_node].offline:
            continue
        earlier = checks.get(instance.primary_node, Check(hypervisors))
        disks = [*earlier.disks]
        for index, disk in enumerate(disks_of(part, instance)):
            try:
                disks.append(disk_spec(disk, index))
            except OpPrereqError:  # no driver looks at it; the answer says that nothing is known
                continue
        checks[instance.primary_node] = Check(hypervisors, disks=tuple(disks))
    return checks


def _described(seen: Seen, instance: Instance) -> dict[str, Json]:
    view = seen.view
    node, group = seen.part.nodes[instance.primary_node], view.owned_as(instance.primary_node)
    secondaries = [seen.part.nodes[uuid] for uuid in view.secondary_nodes(instance)]
    groups = [seen.part.groups[each.group] for each in secondaries]
    disks = disks_of(seen.part, instance)
    return {
        "name": instance.name,
        "config_state": instance.admin_state,
        "run_state": _run_state(seen, instance),
        "pnode": node.name,
        "pnode_group_uuid": node.group,
        "pnode_group_name": group.name if group else None,
        "snodes": [each.name for each in secondaries],
        "snodes_group_uuids": [each.uuid for each in groups],
        "snodes_group_names": [each.name for each in groups],
        "os": instance.os,
        "nics": [_nic(seen, nic) for nic in instance.nics],
        "disk_template": template_of(disks),
        "disks": [_disk(seen, instance, disk) for disk in disks],
        "hypervisor": instance.hypervisor,
        "network_port": instance.network_port,
        "hv_instance": dict(instance.hvparams),
        "hv_actual": dict(view.hvparams(instance)),
        "be_instance": dict(instance.beparams),
        "be_actual": dict(view.beparams(instance)),
        "os_instance": dict(instance.osparams),
        "os_actual": dict(view.osparams(instance)),
        "serial_no": instance.serial_no,
        "mtime": instance.mtime,
        "ctime": instance.ctime,
        "uuid": instance.uuid,
    }


def _run_state(seen: Seen, instance: Instance) -> str | None:
    """Return ``None`` for what is not known."""
    report = seen.report(instance)
    if report is None:
        return None
    for runtime in report.instances:
        if runtime.uuid == instance.uuid and runtime.state in ("running", "paused"):
            return "up"
    if instance.admin_state == "offline":
        return "offline"
    stopped_by_user = instance.admin_state == "down" and instance.admin_state_source == "user"
    return "user down" if stopped_by_user else "down"


def _nic(seen: Seen, nic: Nic) -> list[Json]:
    filled = seen.view.nicparams(nic)
    network = seen.part.networks.get(nic.network) if nic.network else None
    described = dump_object(network) if network else None
    return [
        nic.name, nic.uuid, nic.ip, nic.mac, filled.get("mode"), filled.get("link"),
        filled.get("vlan"), nic.network, described,
    ]  # fmt: skip


def _disk(seen: Seen, instance: Instance, disk: Disk) -> dict[str, Json]:
    wire = dump_object(disk)
    kept = ("iv_name", "dev_type", "logical_id", "mode", "size", "spindles", "name", "uuid")
    return {
        **{name: wire.get(name) for name in kept},
        "drbd_info": None,
        "pstatus": _status(seen, instance, disk),
        "sstatus": None,
        "children": [_disk(seen, instance, child) for child in disk.children],
    }


def _status(seen: Seen, instance: Instance, disk: Disk) -> list[Json] | None:
    """Return path, device numbers, progress of a mirror and state, if the data is there."""
    report = seen.report(instance)
    if report is None or disk.uuid in report.missing_disks:
        return None
    if not isinstance(disk.logical_id, FileId):
        return None
    return [disk.logical_id.path, None, None, None, None, False, LOCAL_DISK_OKAY]


OPERATION: Final = Operation(OpInstanceQueryData, needed_locks, plan)
