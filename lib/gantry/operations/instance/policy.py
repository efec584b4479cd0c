"""Whether an instance fits its node group's policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import Disk
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.parameters.filled import filled_ipolicy
from gantry.protocols.parameters.instance_policy import ResourceRange
from gantry.protocols.runtime_types import InstanceSpec


def check_policy(
    cluster: Cluster, group: NodeGroup, spec: InstanceSpec, disks: Sequence[Disk], *, force: bool
) -> None:
    """Refuse an instance that does not fit.

    Raises:
        OpPrereqError: with every reason, for the range that it misses by the least.
    """
    if force:
        return
    policy = filled_ipolicy(cluster, group)
    template = disks[0].dev_type if disks else "diskless"
    problems = []
    if template not in policy.disk_templates:
        problems.append(f"disk template {template} is not allowed")
    misses = sorted(([*_misses(each, spec, disks)] for each in policy.minmax), key=len)
    problems += misses[0] if misses else []
    if problems:
        raise OpPrereqError(
            f"instance {spec.name} does not fit the policy of node group {group.name}: "
            f"{'; '.join(problems)} (--ignore-ipolicy to make it anyway)"
        )


def _misses(allowed: ResourceRange, spec: InstanceSpec, disks: Sequence[Disk]) -> Iterator[str]:
    amounts = [
        ("memory-size", "memory_size", spec.maxmem_mib),
        ("cpu-count", "cpu_count", spec.vcpus),
        ("nic-count", "nic_count", len(spec.nics)),
        ("spindle-use", "spindle_use", spec.spindle_use),
        *((("disk-size", "disk_size", disk.size)) for disk in disks),
    ]
    if disks:  # as in Ganeti, a diskless instance has no wrong number of disks
        amounts.append(("disk-count", "disk_count", len(disks)))
    for name, attribute, amount in amounts:
        least, most = getattr(allowed.min, attribute), getattr(allowed.max, attribute)
        if not least <= amount <= most:
            yield f"{name} is {amount}, allowed are {least} to {most}"
