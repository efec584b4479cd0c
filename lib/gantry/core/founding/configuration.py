"""The first configuration of a cluster: one node, which is the master, in one group."""

from __future__ import annotations

from typing import Final

from attrs import frozen
from immutables import Map

from gantry.core.founding.request import FoundingRequest
from gantry.protocols.identity import ClusterUuid, GroupUuid, NodeUuid
from gantry.protocols.objects.cluster import Cluster, DataCollector
from gantry.protocols.objects.configuration import VERSION, Configuration
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.node import Node
from gantry.protocols.parameters.filled import DEFAULTS_KEY

FIRST_GROUP: Final = "default"
FIRST_POOL_PORT: Final = 11000
"""Instances and disk replication get their ports from here upwards."""

IP_FAMILY: Final = {4: 2, 6: 10}
"""Linux's AF_INET and AF_INET6."""

MAX_RUNNING_JOBS: Final = 20
MAX_TRACKED_JOBS: Final = 25

COLLECTOR_INTERVAL_MICROSECONDS: Final = 5_000_000
COLLECTORS: Final = (
    "cpu-avg-load",
    "diskstats",
    "drbd",
    "inst-status-xen",
    "lv",
    "xen-cpu-avg-load",
)


@frozen
class FoundingFacts:
    """What was found out about the machine, or drawn at random."""

    now: float
    cluster_uuid: ClusterUuid
    node_uuid: NodeUuid
    group_uuid: GroupUuid
    node_name: str
    node_address: str
    cluster_address: str
    certificate_digest: str
    """The SHA-1 fingerprint of the master's own certificate."""
    host_key: str
    """The machine's public SSH host key, without type and comment; empty if there is none."""


def first_configuration(request: FoundingRequest, facts: FoundingFacts) -> Configuration:
    """Return the configuration that the cluster begins with."""
    return Configuration(
        version=VERSION,
        cluster=_cluster(request, facts),
        nodes=Map({facts.node_uuid: _node(request, facts)}),
        nodegroups=Map({facts.group_uuid: _group(facts)}),
        instances=Map(),
        networks=Map(),
        disks=Map(),
        filters=Map(),
        ctime=facts.now,
        mtime=facts.now,
        serial_no=1,
    )


def _cluster(request: FoundingRequest, facts: FoundingFacts) -> Cluster:
    return Cluster(
        rsahostkeypub=facts.host_key,
        dsahostkeypub="",
        highest_used_port=FIRST_POOL_PORT - 1,
        tcpudp_port_pool=(),
        mac_prefix=request.mac_prefix,
        volume_group_name=request.volume_group,
        reserved_lvs=(),
        master_node=facts.node_uuid,
        master_ip=facts.cluster_address,
        master_netdev=request.master_netdev,
        master_netmask=request.master_netmask,
        use_external_mip_script=request.use_external_mip_script,
        cluster_name=request.cluster_name,
        file_storage_dir=request.file_storage_dir,
        shared_file_storage_dir=request.shared_file_storage_dir,
        gluster_storage_dir=request.gluster_storage_dir,
        enabled_hypervisors=request.enabled_hypervisors,
        hvparams=request.hvparams,
        os_hvp={},
        beparams={DEFAULTS_KEY: request.beparams},
        osparams={},
        osparams_private_cluster={},
        nicparams={DEFAULTS_KEY: request.nicparams},
        ndparams=request.ndparams,
        diskparams=request.diskparams,
        candidate_pool_size=request.candidate_pool_size,
        # Names and SSH are left to whoever runs the machines: nodes join by token.
        modify_etc_hosts=False,
        modify_ssh_setup=False,
        maintain_node_health=request.maintain_node_health,
        uid_pool=request.uid_pool,
        default_iallocator=request.default_iallocator,
        default_iallocator_params=request.default_iallocator_params,
        hidden_os=(),
        blacklisted_os=(),
        primary_ip_family=IP_FAMILY[request.ip_version],
        prealloc_wipe_disks=request.prealloc_wipe_disks,
        ipolicy=request.ipolicy,
        enabled_disk_templates=request.enabled_disk_templates,
        candidate_certs={facts.node_uuid: facts.certificate_digest},
        max_running_jobs=MAX_RUNNING_JOBS,
        max_tracked_jobs=MAX_TRACKED_JOBS,
        install_image=request.install_image,
        instance_communication_network="",
        zeroing_image=request.zeroing_image,
        compression_tools=request.compression_tools,
        enabled_user_shutdown=request.enabled_user_shutdown,
        data_collectors={
            name: DataCollector(active=True, interval=COLLECTOR_INTERVAL_MICROSECONDS)
            for name in COLLECTORS
        },
        ssh_key_type=request.ssh_key_type,
        ssh_key_bits=request.ssh_key_bits,
        ctime=facts.now,
        mtime=facts.now,
        uuid=facts.cluster_uuid,
        serial_no=1,
    )


def _node(request: FoundingRequest, facts: FoundingFacts) -> Node:
    return Node(
        name=facts.node_name,
        primary_ip=facts.node_address,
        secondary_ip=request.secondary_ip or facts.node_address,
        master_candidate=True,
        offline=False,
        drained=False,
        group=facts.group_uuid,
        master_capable=True,
        vm_capable=True,
        powered=True,
        ctime=facts.now,
        mtime=facts.now,
        uuid=facts.node_uuid,
        serial_no=1,
    )


def _group(facts: FoundingFacts) -> NodeGroup:
    return NodeGroup(
        name=FIRST_GROUP,
        ndparams={},
        alloc_policy="preferred",
        ipolicy={},
        diskparams={},
        networks={},
        ctime=facts.now,
        mtime=facts.now,
        uuid=facts.group_uuid,
        serial_no=1,
    )
