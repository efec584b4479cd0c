"""OP_CLUSTER_SET_PARAMS: change the cluster's settings.

What changes here concerns everything, so that nothing else runs meanwhile.
"""

from __future__ import annotations

from typing import Final

from gantry.operations.cluster.settings import with_settings
from gantry.operations.hooks import Hooks, with_hooks
from gantry.operations.instance.spec import TEMPLATES, check_hypervisor
from gantry.operations.lookup import disks_of, template_of
from gantry.operations.node.candidates import fill_pool
from gantry.operations.operation import Operation, the_whole_cluster
from gantry.operations.updates import update_cluster
from gantry.operations.whole import EVERYTHING
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.opcodes.cluster import OpClusterSetParams
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import ConfigPart

MISSING: Final = {
    "hv_state": "static states of hypervisors",
    "disk_state": "static states of disks",
    "vg_name": "the LVM volume group",
    "drbd_helper": "the helper program of DRBD",
    "master_netdev": "the interface of the master address",
    "master_netmask": "the netmask of the master address",
    "instance_communication_network": "the network for talking to instances",
}
"""What this version can not change, by the opcode's parameter."""


async def plan(opcode: OpClusterSetParams, world: World) -> Plan:
    """Check what it would be, then note it; a larger pool of candidates is filled up."""
    for name, what in MISSING.items():
        if getattr(opcode, name):
            raise OpPrereqError(f"{what} can not be changed in this version")
    part = await world.read(EVERYTHING)
    changed = with_settings(part.cluster, opcode)
    _check_hypervisors(part, changed)
    _check_templates(part, changed)
    steps = [update_cluster(part.cluster, changed)]
    if changed.candidate_pool_size > part.cluster.candidate_pool_size:
        steps += await fill_pool(world, changed, [*part.nodes.values()])
    master = (part.cluster.master_node,)
    told = {"OP_TARGET": part.cluster.cluster_name, "NEW_VG_NAME": changed.volume_group_name}
    hooks = Hooks("cluster-modify", "CLUSTER", master, master, told)
    return with_hooks(Plan(opcode.op_id(), OPERATION.version, tuple(steps)), hooks, part)


def _check_hypervisors(part: ConfigPart, changed: Cluster) -> None:
    for hypervisor in set(changed.enabled_hypervisors) - set(part.cluster.enabled_hypervisors):
        check_hypervisor(hypervisor)
    used = {instance.hypervisor: instance.name for instance in part.instances.values()}
    for hypervisor in sorted(used.keys() - set(changed.enabled_hypervisors)):
        text = f"instance {used[hypervisor]} uses hypervisor {hypervisor}, which stays enabled"
        raise OpPrereqError(text, "wrong_state")


def _check_templates(part: ConfigPart, changed: Cluster) -> None:
    for template in set(changed.enabled_disk_templates) - set(part.cluster.enabled_disk_templates):
        if template not in (*TEMPLATES, "diskless"):
            raise OpPrereqError(f"disk template {template} has no driver in this version")
    used = {template_of(disks_of(part, i)): i.name for i in part.instances.values()}
    gone = set(part.cluster.enabled_disk_templates) - set(changed.enabled_disk_templates)
    for template in sorted(gone & used.keys()):
        text = f"instance {used[template]} has disks of template {template}, which stays enabled"
        raise OpPrereqError(text, "wrong_state")


OPERATION: Final = Operation(OpClusterSetParams, the_whole_cluster, plan)
