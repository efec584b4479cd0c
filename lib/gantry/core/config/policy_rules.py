"""The rules of instance policies: their shape, for the cluster (full) and for node groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gantry.core.config.breaches import broken
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.parameters.instance_policy import fill_ipolicy
from gantry.protocols.parameters.parameter_set import BadParameter
from gantry.protocols.wconfd import Invariant

KEYS: Final = ("disk-templates", "minmax", "spindle-ratio", "std", "vcpu-ratio")

RULE: Final = "instance policies are well-formed"


def check_cluster_policy(cluster: Cluster) -> Iterator[Invariant]:
    """Check the cluster's policy: nothing may be missing."""
    yield from _check(cluster)
    for key in KEYS:
        if key not in cluster.ipolicy:
            yield broken(RULE, cluster, f"the instance policy does not say {key}")


def check_group_policy(group: NodeGroup) -> Iterator[Invariant]:
    """Check what a group's policy says otherwise than the cluster's."""
    yield from _check(group)
    if "std" in group.ipolicy:
        yield broken(RULE, group, "the instance policy says std, which is the cluster's to say")


def _check(stored: Cluster | NodeGroup) -> Iterator[Invariant]:
    try:
        policy = fill_ipolicy(stored.ipolicy)
    except BadParameter as error:
        yield broken(RULE, stored, str(error))
        return
    if not policy.minmax:
        yield broken(RULE, stored, "the instance policy has no range that an instance may be in")
