"""The fields of the cluster, as ``OP_QUERY`` jobs and ``OP_CLUSTER_CONFIG_QUERY`` return them."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from gantry.core.query.cluster import QueueState, Release
from gantry.core.query.fields import Field, Table, present, table
from gantry.core.query.view import View
from gantry.protocols.objects.cluster import Cluster


@frozen
class ClusterRow:
    """The only row: the cluster, the program that runs it and the state of its queue."""

    view: View
    release: Release
    queue: QueueState

    @property
    def cluster(self) -> Cluster:
        """The cluster's own object."""
        return self.view.configuration.cluster


CLUSTER: Final[Table[ClusterRow]] = table("cluster", "name", (
    Field("architecture", "ArchInfo", "other", "Word size and machine of the master",
          lambda r: (0, list(r.release.architecture))),
    Field("cluster_name", "Name", "text", "The cluster's name",
          lambda r: (0, r.cluster.cluster_name), comparing="hostname"),
    Field("config_version", "ConfigVersion", "number", "Version of the configuration's schema",
          lambda r: (0, r.view.configuration.version)),
    Field("ctime", "CTime", "timestamp", "When the cluster was made",
          lambda r: (0, r.cluster.ctime)),
    Field("drain_flag", "QueueDrained", "bool", "Whether the queue takes no more jobs",
          lambda r: (0, r.queue.drained)),
    Field("export_version", "ExportVersion", "number", "Version of the format of exports",
          lambda r: (0, r.release.export_version)),
    Field("master_node", "Master", "text", "The master's name",
          lambda r: (0, r.view.node_name(r.cluster.master_node)), comparing="hostname"),
    Field("mtime", "MTime", "timestamp", "When the cluster's own settings last changed",
          lambda r: (0, r.cluster.mtime)),
    Field("name", "Name", "text", "The cluster's name",
          lambda r: (0, r.cluster.cluster_name), comparing="hostname"),
    Field("os_api_version", "OsApiVersion", "number", "Newest version of the OS interface",
          lambda r: (0, r.release.os_api_version)),
    Field("protocol_version", "ProtocolVersion", "number", "Version of the protocol of clients",
          lambda r: (0, r.release.protocol_version)),
    Field("software_version", "SoftwareVersion", "text", "Release whose behaviour is offered",
          lambda r: (0, r.release.software_version)),
    Field("tags", "Tags", "other", "The cluster's tags", lambda r: (0, sorted(r.cluster.tags))),
    Field("vcs_version", "VCSVersion", "text", "Release, as its source names it",
          lambda r: (0, r.release.vcs_version)),
    Field("volume_group_name", "VgName", "text", "LVM volume group for disks",
          lambda r: present(r.cluster.volume_group_name)),
    Field("watcher_pause", "WatcherPause", "timestamp", "Until when the watcher rests",
          lambda r: present(r.queue.watcher_pause)),
))  # fmt: skip
