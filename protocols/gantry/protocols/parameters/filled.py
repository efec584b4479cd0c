"""The parameters that an object really has: its own over those of all layers below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Instance, Nic
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.vocabulary import DiskTemplate, Hypervisor
from gantry.protocols.parameters.backend import BackendParameters
from gantry.protocols.parameters.disk import TEMPLATES, TemplateParameters
from gantry.protocols.parameters.hypervisor import HYPERVISORS, HypervisorParameters
from gantry.protocols.parameters.instance_policy import InstancePolicy, fill_ipolicy
from gantry.protocols.parameters.nic import NicParameters
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import fill, specs
from gantry.protocols.values import Json

DEFAULTS_KEY: Final = "default"
"""The one key under which the cluster keeps its backend and NIC parameters."""

# Every function here that fills raises BadParameter if a layer holds what its parameters do not
# allow.


def prepare_filling() -> None:
    """Make what filling needs, which otherwise the first use pays for: some milliseconds."""
    for each in (*HYPERVISORS.values(), *TEMPLATES.values()):
        specs(each)
    for other in (BackendParameters, NicParameters, NodeParameters):
        specs(other)
    fill_ipolicy()


def filled_hvparams(cluster: Cluster, instance: Instance) -> HypervisorParameters:
    """Return an instance's hypervisor parameters: cluster, then OS definition, then its own."""
    return fill_hvparams(cluster, instance.hypervisor, instance.os, instance.hvparams)


def fill_hvparams(
    cluster: Cluster, hypervisor: Hypervisor, os: str, own: Mapping[str, Json]
) -> HypervisorParameters:
    """Do the same for an instance that is still to be made; ``os`` may have a variant."""
    of_cluster = cluster.hvparams.get(hypervisor, {})
    of_os = cluster.os_hvp.get(os, {}).get(hypervisor, {})
    return fill(HYPERVISORS[hypervisor], of_cluster, of_os, own)


def filled_beparams(cluster: Cluster, instance: Instance) -> BackendParameters:
    """Return an instance's backend parameters: cluster, then its own."""
    return fill_beparams(cluster, instance.beparams)


def fill_beparams(cluster: Cluster, own: Mapping[str, Json]) -> BackendParameters:
    """Do the same for an instance that is still to be made."""
    return fill(BackendParameters, cluster.beparams.get(DEFAULTS_KEY, {}), own)


def filled_nicparams(cluster: Cluster, nic: Nic) -> NicParameters:
    """Return a network interface's parameters: cluster, then its own."""
    return fill(NicParameters, cluster.nicparams.get(DEFAULTS_KEY, {}), nic.nicparams)


def filled_ndparams(cluster: Cluster, group: NodeGroup, node: Node) -> NodeParameters:
    """Return a node's parameters: cluster, then group, then its own."""
    return fill(NodeParameters, cluster.ndparams, group.ndparams, node.ndparams)


def filled_diskparams(
    cluster: Cluster, group: NodeGroup, template: DiskTemplate
) -> TemplateParameters:
    """Return a disk template's parameters in a node group: cluster, then group."""
    layers = (cluster.diskparams.get(template, {}), group.diskparams.get(template, {}))
    return fill(TEMPLATES[template], *layers)


def filled_ipolicy(cluster: Cluster, group: NodeGroup) -> InstancePolicy:
    """Return a node group's instance policy: cluster, then group."""
    return fill_ipolicy(cluster.ipolicy, group.ipolicy)


def filled_osparams(cluster: Cluster, instance: Instance) -> dict[str, str]:
    """Return an instance's public OS parameters: OS definition, then variant, then its own."""
    return _os_layers(cluster.osparams, instance.os) | dict(instance.osparams)


def filled_private_osparams(cluster: Cluster, instance: Instance) -> dict[str, str]:
    """Return an instance's private OS parameters, by the same layers. Not for logs."""
    own = dict(instance.osparams_private)
    return _os_layers(cluster.osparams_private_cluster, instance.os) | own


def _os_layers(by_os: Mapping[str, Mapping[str, str]], os: str) -> dict[str, str]:
    name = os.split("+", 1)[0]
    return {**by_os.get(name, {}), **by_os.get(os, {})}
