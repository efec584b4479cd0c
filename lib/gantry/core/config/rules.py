"""The rules of the configuration: each is a check of one object, over the indexes.

A change checks the objects that it touches; ``gnt-cluster verify-config`` checks all of them with
the same functions. What is particular to a kind of object is in the modules beside this one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, assert_never

from gantry.core.config.breaches import broken
from gantry.core.config.claims import Stored, claims_of, kind_of, ref, references_of, shown
from gantry.core.config.instance_rules import check_disk, check_instance
from gantry.core.config.network_rules import check_network
from gantry.core.config.policy_rules import check_cluster_policy, check_group_policy
from gantry.core.config.state import State
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.objects.disk import Disk, ForthcomingDisk
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import ForthcomingInstance, Instance
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import Invariant

TAG: Final = re.compile(r"[A-Za-z0-9.+*/:@_-]{1,128}")
TAGS_MAX: Final = 4096


def check(state: State, stored: Stored) -> Iterator[Invariant]:
    """Check one object that is in the state; every broken rule is reported."""
    yield from _check_claims(state, stored)
    for target in sorted(references_of(stored)):
        if state.get(target) is None:
            text = f"refers to {target.kind} {target.uuid}, which does not exist"
            yield broken("references resolve", stored, text)
    yield from _check_version(stored)
    yield from _check_own(state, stored)


def _check_claims(state: State, stored: Stored) -> Iterator[Invariant]:
    for claim, count in Counter(claims_of(stored)).items():
        owner = state.owner_of(claim)
        if count > 1:
            yield broken("values are unique", stored, f"uses {claim.space} {claim.value} twice")
        elif owner is not None and ref(owner) != ref(stored):
            text = f"{claim.space} {claim.value} belongs to {kind_of(owner)} {shown(owner)}"
            yield broken("values are unique", stored, text)


def _check_version(stored: Stored) -> Iterator[Invariant]:
    if isinstance(stored, FilterRule):
        return
    if stored.serial_no < 1:
        text = f"has the serial number {stored.serial_no}"
        yield broken("serial numbers begin at 1", stored, text)
    if isinstance(stored, Disk | ForthcomingDisk | Leftover):
        return
    tags = stored.tags or frozenset()
    for tag in sorted(tags):
        if not TAG.fullmatch(tag):
            yield broken("tags are well-formed", stored, f"has the tag {tag!r}")
    if len(tags) > TAGS_MAX:
        yield broken("tags are few", stored, f"has {len(tags)} tags, more than {TAGS_MAX}")


def _check_own(state: State, stored: Stored) -> Iterator[Invariant]:
    match stored:
        case Cluster():
            yield from _check_cluster(state, stored)
        case Node():
            yield from _check_node(state, stored)
        case NodeGroup():
            yield from check_group_policy(stored)
        case Instance():
            yield from check_instance(state, stored)
        case Disk():
            yield from check_disk(state, stored)
        case Network():
            yield from check_network(stored)
        case FilterRule(priority=priority):
            if priority < 0:
                text = f"has the priority {priority}"
                yield broken("filter priorities are not negative", stored, text)
        case ForthcomingInstance() | ForthcomingDisk() | Leftover():
            return
        case _:
            assert_never(stored)


def _check_cluster(state: State, cluster: Cluster) -> Iterator[Invariant]:
    if not cluster.enabled_hypervisors:
        yield broken("some hypervisor is enabled", cluster, "no hypervisor is enabled")
    for hypervisor in cluster.enabled_hypervisors:
        if hypervisor not in cluster.hvparams:
            text = f"hypervisor {hypervisor} is enabled and has no parameters"
            yield broken("hypervisors have parameters", cluster, text)
    if not cluster.enabled_disk_templates:
        yield broken("some disk template is enabled", cluster, "no disk template is enabled")
    yield from _check_ports(cluster)
    yield from check_cluster_policy(cluster)
    master = state.configuration.nodes.get(cluster.master_node)
    if master is not None:
        yield from _check_master(master)
    for uuid in cluster.candidate_certs:
        node = state.configuration.nodes.get(uuid)
        if node is None or not node.master_candidate:
            text = f"lists a certificate of {uuid if node is None else node.name}"
            yield broken("certificates are candidates'", cluster, text)


def _check_ports(cluster: Cluster) -> Iterator[Invariant]:
    for port in cluster.tcpudp_port_pool:
        if port > cluster.highest_used_port:
            text = f"port {port} is in the pool, and {cluster.highest_used_port} the highest used"
            yield broken("pooled ports were used before", cluster, text)


def _check_node(state: State, node: Node) -> Iterator[Invariant]:
    roles = {
        "master candidate": node.master_candidate,
        "drained": node.drained,
        "offline": node.offline,
    }
    taken = [role for role, has in roles.items() if has]
    if len(taken) > 1:
        yield broken("a node has one role", node, f"is {' and '.join(taken)} at once")
    if node.master_candidate and not node.master_capable:
        text = "is a master candidate and not capable of being master"
        yield broken("candidates are master capable", node, text)
    if state.configuration.cluster.master_node == node.uuid:
        yield from _check_master(node)


def _check_master(node: Node) -> Iterator[Invariant]:
    if not node.master_candidate:
        yield broken("the master is a candidate", node, "is the master and no master candidate")
