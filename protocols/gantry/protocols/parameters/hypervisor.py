"""Hypervisor parameters: which set belongs to which hypervisor, and who may set what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gantry.protocols.objects.vocabulary import Hypervisor
from gantry.protocols.parameters.containers import (
    ChrootParameters,
    FakeParameters,
    LxcParameters,
)
from gantry.protocols.parameters.kvm import KvmParameters
from gantry.protocols.parameters.parameter_set import BadParameter, Edits, parse_edits
from gantry.protocols.parameters.xen import XenHvmParameters, XenPvmParameters
from gantry.protocols.values import Json

HypervisorParameters = (
    KvmParameters
    | FakeParameters
    | ChrootParameters
    | LxcParameters
    | XenPvmParameters
    | XenHvmParameters
)

HYPERVISORS: Final[Mapping[Hypervisor, type[HypervisorParameters]]] = {
    "kvm": KvmParameters,
    "fake": FakeParameters,
    "chroot": ChrootParameters,
    "lxc": LxcParameters,
    "xen-pvm": XenPvmParameters,
    "xen-hvm": XenHvmParameters,
}

CLUSTER_WIDE: Final = frozenset(
    {"migration_bandwidth", "migration_mode", "migration_port", "xen_cmd"}
)
"""Parameters in which instances can not differ, since nodes have to agree on them."""


def parse_cluster_hvparams(hypervisor: Hypervisor, given: Mapping[str, Json]) -> Edits:
    """Parse what a user wants changed in the cluster's parameters of a hypervisor.

    Raises:
        BadParameter: a parameter does not exist or can not have the value.
    """
    return parse_edits(HYPERVISORS[hypervisor], given)


def parse_instance_hvparams(hypervisor: Hypervisor, given: Mapping[str, Json]) -> Edits:
    """Parse what a user wants of an instance (or of all instances with an OS definition).

    Raises:
        BadParameter: a parameter does not exist, can not have the value, or is the cluster's.
    """
    edits = parse_edits(HYPERVISORS[hypervisor], given)
    for name in sorted(CLUSTER_WIDE & given.keys()):
        reason = "can only be set for the whole cluster"
        raise BadParameter(f"hypervisor {hypervisor}", name, given[name], reason)
    return edits
