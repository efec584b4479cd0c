"""The fields of node groups."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from attrs import frozen

from gantry.core.query.fields import Field, Table, table
from gantry.core.query.node_parameters import parameter_fields
from gantry.core.query.view import Filled, View
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.node import Node


@frozen
class GroupRow:
    """A node group with its cluster."""

    group: NodeGroup
    view: View

    @cached_property
    def ndparams(self) -> Filled:
        """The group's node parameters, of all layers."""
        return self.view.group_ndparams(self.group)

    @property
    def nodes(self) -> list[Node]:
        """The group's nodes."""
        return self.view.members.get(self.group.uuid, [])

    @cached_property
    def instances(self) -> list[str]:
        """The names of the instances whose primary node is in the group."""
        return self.view.group_instances(self.group.uuid)


_FIELDS: Final[tuple[Field[GroupRow], ...]] = (
    Field("name", "Group", "text", "Name", lambda r: (0, r.group.name)),
    Field("uuid", "UUID", "text", "UUID of the node group", lambda r: (0, r.group.uuid)),
    Field("serial_no", "SerialNo", "number", "Version, grows with each change",
          lambda r: (0, r.group.serial_no)),
    Field("ctime", "CTime", "timestamp", "When it was made", lambda r: (0, r.group.ctime)),
    Field("mtime", "MTime", "timestamp", "When it was last changed",
          lambda r: (0, r.group.mtime)),
    Field("tags", "Tags", "other", "Tags", lambda r: (0, sorted(r.group.tags))),
    Field("alloc_policy", "AllocPolicy", "text", "Whether new instances may be placed in it",
          lambda r: (0, r.group.alloc_policy)),
    Field("node_cnt", "Nodes", "number", "Number of nodes", lambda r: (0, len(r.nodes))),
    Field("node_list", "NodeList", "other", "Nodes", lambda r: (0, [n.name for n in r.nodes])),
    Field("pinst_cnt", "Instances", "number", "Number of instances",
          lambda r: (0, len(r.instances))),
    Field("pinst_list", "InstanceList", "other", "Instances", lambda r: (0, r.instances)),
    Field("ndparams", "NDParams", "other", "Node parameters, of all layers",
          lambda r: (0, r.ndparams)),
    Field("custom_ndparams", "CustomNDParams", "other", "Node parameters of its own",
          lambda r: (0, r.group.ndparams)),
    Field("diskparams", "DiskParameters", "other", "Disk parameters, of all layers",
          lambda r: (0, r.view.group_diskparams(r.group))),
    Field("custom_diskparams", "CustomDiskParameters", "other", "Disk parameters of its own",
          lambda r: (0, r.group.diskparams)),
    Field("ipolicy", "InstancePolicy", "other", "Limits of instances, of all layers",
          lambda r: (0, r.view.group_ipolicy(r.group))),
    Field("custom_ipolicy", "CustomInstancePolicy", "other", "Limits of instances of its own",
          lambda r: (0, r.group.ipolicy)),
    *parameter_fields(lambda r: r.ndparams),
)  # fmt: skip

GROUPS: Final[Table[GroupRow]] = table("group", "name", _FIELDS)
