"""The fields of nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final

from attrs import frozen

from gantry.core.query.fields import (
    NODATA,
    NODE_OFFLINE,
    UNAVAIL,
    Field,
    Table,
    normal,
    present,
    table,
)
from gantry.core.query.live import LiveData
from gantry.core.query.node_parameters import parameter_fields
from gantry.core.query.view import Filled, View
from gantry.protocols.codec import Json
from gantry.protocols.noded import NodeInfo
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.node import Node
from gantry.protocols.query import Cell, Kind


@frozen
class NodeRow:
    """A node with its cluster and what it said of itself."""

    node: Node
    view: View
    live: LiveData

    @cached_property
    def ndparams(self) -> Filled:
        """The node's parameters, of all layers."""
        return self.view.ndparams(self.node)

    @property
    def group(self) -> NodeGroup | None:
        """The node's group."""
        return self.view.configuration.nodegroups.get(self.node.group)

    @property
    def is_master(self) -> bool:
        """Whether the node is the cluster's master."""
        return self.view.configuration.cluster.master_node == self.node.uuid


def _role(row: NodeRow) -> str:
    node = row.node
    if row.is_master:
        return "M"
    if node.master_candidate:
        return "C"
    return "D" if node.drained else "O" if node.offline else "R"


def _powered(row: NodeRow) -> Cell:
    return normal(row.node.powered) if row.ndparams.get("oob_program") else UNAVAIL


def _group_name(row: NodeRow) -> Cell:
    return present(row.group.name if row.group is not None else None)


def _live(
    name: str, title: str, kind: Kind, doc: str, value: Callable[[NodeInfo], Json]
) -> Field[NodeRow]:
    """Make a field of what a node says of itself; a ``None`` is something it does not say."""

    def read(row: NodeRow) -> Cell:
        node = row.node
        if node.offline:
            return NODE_OFFLINE
        if not node.vm_capable:
            return UNAVAIL
        live = row.live.nodes.get(node.uuid)
        found = value(live.info) if live is not None and live.info is not None else None
        return NODATA if found is None else normal(found)

    return Field(name, title, kind, doc, read, source="node")


_IDENTITY: Final[tuple[Field[NodeRow], ...]] = (
    Field("name", "Node", "text", "Host name", lambda r: (0, r.node.name), comparing="hostname"),
    Field("uuid", "UUID", "text", "UUID of the node", lambda r: (0, r.node.uuid)),
    Field("serial_no", "SerialNo", "number", "Version, grows with each change",
          lambda r: (0, r.node.serial_no)),
    Field("ctime", "CTime", "timestamp", "When it joined", lambda r: (0, r.node.ctime)),
    Field("mtime", "MTime", "timestamp", "When it was last changed", lambda r: (0, r.node.mtime)),
    Field("tags", "Tags", "other", "Tags", lambda r: (0, sorted(r.node.tags))),
    Field("pip", "PrimaryIP", "text", "Primary IP address", lambda r: (0, r.node.primary_ip)),
    Field("sip", "SecondaryIP", "text", "IP address for replication",
          lambda r: (0, r.node.secondary_ip)),
    Field("group", "Group", "text", "Name of the node group", _group_name),
    Field("group.uuid", "GroupUUID", "text", "UUID of the node group",
          lambda r: (0, r.node.group)),
)  # fmt: skip

_ROLE: Final[tuple[Field[NodeRow], ...]] = (
    Field("role", "Role", "text", "M: master, C: candidate, R: regular, D: drained, O: offline",
          lambda r: (0, _role(r))),
    Field("master", "IsMaster", "bool", "Whether it is the master", lambda r: (0, r.is_master)),
    Field("master_candidate", "MasterC", "bool", "Whether it keeps a copy of the configuration",
          lambda r: (0, r.node.master_candidate)),
    Field("master_capable", "MasterCapable", "bool", "Whether it may become master",
          lambda r: (0, r.node.master_capable)),
    Field("vm_capable", "VMCapable", "bool", "Whether it may host instances",
          lambda r: (0, r.node.vm_capable)),
    Field("offline", "Offline", "bool", "Whether it is left alone", lambda r: (0, r.node.offline)),
    Field("drained", "Drained", "bool", "Whether it gets no new instances",
          lambda r: (0, r.node.drained)),
    Field("powered", "Powered", "bool", "Whether it is meant to be powered on", _powered),
)  # fmt: skip

_CONTENT: Final[tuple[Field[NodeRow], ...]] = (
    Field("pinst_cnt", "Pinst", "number", "Number of instances that it is primary node of",
          lambda r: (0, len(r.view.primaries.get(r.node.uuid, ())))),
    Field("pinst_list", "PriInstances", "other", "Instances that it is primary node of",
          lambda r: (0, r.view.primaries.get(r.node.uuid, []))),
    Field("sinst_cnt", "Sinst", "number", "Number of instances that it is secondary node of",
          lambda r: (0, len(r.view.secondaries.get(r.node.uuid, ())))),
    Field("sinst_list", "SecInstances", "other", "Instances that it is secondary node of",
          lambda r: (0, r.view.secondaries.get(r.node.uuid, []))),
    Field("ndparams", "NodeParameters", "other", "Node parameters, of all layers",
          lambda r: (0, r.ndparams)),
    Field("custom_ndparams", "CustomNodeParameters", "other", "Node parameters of its own",
          lambda r: (0, r.node.ndparams)),
    Field("hv_state", "HypervisorState", "other", "Not kept", lambda _: UNAVAIL),
    Field("disk_state", "DiskState", "other", "Not kept", lambda _: UNAVAIL),
    *parameter_fields(lambda r: r.ndparams),
)  # fmt: skip

_LIVE: Final[tuple[Field[NodeRow], ...]] = (
    _live("bootid", "BootID", "text", "Changes with each boot", lambda i: i.boot_id),
    _live("cnodes", "CNodes", "number", "Number of NUMA nodes", lambda i: i.cpu_nodes),
    _live("cnos", "CNOs", "number", "Processors that the host itself may use",
          lambda i: i.cpu_total),
    _live("csockets", "CSockets", "number", "Number of processor sockets",
          lambda i: i.cpu_sockets),
    _live("ctotal", "CTotal", "number", "Number of logical processors", lambda i: i.cpu_total),
    _live("mtotal", "MTotal", "unit", "Memory of the machine", lambda i: i.memory_total),
    _live("mfree", "MFree", "unit", "Free memory", lambda i: i.memory_free),
    _live("mnode", "MNode", "unit", "Memory that the host itself uses", lambda i: i.memory_dom0),
    _live("dtotal", "DTotal", "unit", "Size of the first storage unit", lambda i: i.disk_total),
    _live("dfree", "DFree", "unit", "Free space of the first storage unit",
          lambda i: i.disk_free),
    _live("sptotal", "SpTotal", "number", "Number of spindles", lambda _: None),
    _live("spfree", "SpFree", "number", "Number of free spindles", lambda _: None),
)  # fmt: skip

NODES: Final[Table[NodeRow]] = table("node", "name", _IDENTITY, _ROLE, _CONTENT, _LIVE)
