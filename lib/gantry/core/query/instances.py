"""The fields of instances."""

from __future__ import annotations

from typing import Final, assert_never

import attrs

from gantry.core.query.fields import NODE_OFFLINE, UNAVAIL, Field, Table, normal, present, table
from gantry.core.query.instance_devices import disk_fields, nic_fields
from gantry.core.query.instance_parameters import backend_fields, hypervisor_fields
from gantry.core.query.instance_row import InstanceRow
from gantry.core.query.view import AnyDisk
from gantry.protocols.codec import Json
from gantry.protocols.objects.instance import ForthcomingInstance
from gantry.protocols.query import Cell
from gantry.protocols.runtime_types import MessageConsole, SocketConsole

DRBD_META_MIB: Final = 128
"""What a DRBD disk takes besides its size."""

CONSOLE_USER: Final = "root"

ALIASES: Final = {
    "vcpus": "be/vcpus",
    "sda_size": "disk.size/0",
    "sdb_size": "disk.size/1",
    "ip": "nic.ip/0",
    "mac": "nic.mac/0",
    "bridge": "nic.bridge/0",
    "nic_mode": "nic.mode/0",
    "nic_link": "nic.link/0",
    "nic_network": "nic.network/0",
}
"""Old names of fields."""


def _disk_template(row: InstanceRow) -> Json:
    templates = {disk.dev_type for disk in row.disks}
    if not templates:
        return "diskless"
    return templates.pop() if len(templates) == 1 else "mixed"


def _space(disk: AnyDisk) -> int:
    """Return what a disk takes of the cluster's storage, in MiB."""
    match disk.dev_type:
        case "blockdev":
            return 0
        case "drbd":
            return (disk.size or 0) + DRBD_META_MIB
        case _:
            return disk.size or 0


def _admin_up(row: InstanceRow) -> Cell:
    state = row.instance.admin_state
    return UNAVAIL if state is None else normal(state == "up")


def _tags(row: InstanceRow) -> Cell:
    return normal(sorted(row.instance.tags or ()))


def _group_name(row: InstanceRow) -> Cell:
    return present(row.primary_group.name if row.primary_group is not None else None)


def _group_uuid(row: InstanceRow) -> Cell:
    return present(row.primary_group.uuid if row.primary_group is not None else None)


def _status(row: InstanceRow) -> Cell:
    forthcoming = isinstance(row.instance, ForthcomingInstance)
    return UNAVAIL if forthcoming else normal(row.status())


def _oper_state(row: InstanceRow) -> Cell:
    return row.trouble or normal(row.alive is not None)


def _oper_ram(row: InstanceRow) -> Cell:
    return row.trouble or present(row.alive.memory_mib if row.alive is not None else None)


def _oper_vcpus(row: InstanceRow) -> Cell:
    return row.trouble or present(row.alive.vcpus if row.alive is not None else None)


def _console(row: InstanceRow) -> Cell:
    """Say how to reach the console: a message, or a command for a shell on a node."""
    if row.primary_offline:
        return NODE_OFFLINE
    console = row.live.consoles.get(row.instance.uuid)
    name = row.instance.name
    match console:
        case None:
            return UNAVAIL
        case MessageConsole(text):
            return normal({"instance": name, "kind": "msg", "message": text})
        case SocketConsole(host, path):
            command = ["socat", "STDIO,raw,echo=0,escape=0x1d", f"UNIX-CONNECT:{path}"]
            return normal({"instance": name, "kind": "ssh", "host": host,
                           "user": CONSOLE_USER, "command": command})  # fmt: skip
        case _:
            assert_never(console)


_IDENTITY: Final[tuple[Field[InstanceRow], ...]] = (
    Field("name", "Instance", "text", "Host name", lambda r: present(r.instance.name),
          comparing="hostname"),
    Field("uuid", "UUID", "text", "UUID of the instance", lambda r: (0, r.instance.uuid)),
    Field("serial_no", "SerialNo", "number", "Version, grows with each change",
          lambda r: (0, r.instance.serial_no)),
    Field("ctime", "CTime", "timestamp", "When it was made", lambda r: present(r.instance.ctime)),
    Field("mtime", "MTime", "timestamp", "When it was last changed",
          lambda r: present(r.instance.mtime)),
    Field("tags", "Tags", "other", "Tags", _tags),
    Field("forthcoming", "Forthcoming", "bool", "Whether it is still to come",
          lambda r: (0, isinstance(r.instance, ForthcomingInstance))),
    Field("os", "OS", "text", "OS definition and variant", lambda r: present(r.instance.os)),
    Field("osparams", "OpSysParameters", "other", "Public OS parameters, of all layers",
          lambda r: (0, r.view.osparams(r.instance))),
    Field("custom_osparams", "CustomOpSysParameters", "other", "Public OS parameters of its own",
          lambda r: present(r.instance.osparams)),
    Field("hypervisor", "Hypervisor", "text", "What runs it",
          lambda r: present(r.instance.hypervisor)),
    Field("custom_hvparams", "CustomHypervisorParameters", "other",
          "Hypervisor parameters of its own", lambda r: present(r.instance.hvparams)),
    Field("custom_beparams", "CustomBackendParameters", "other",
          "Back-end parameters of its own", lambda r: present(r.instance.beparams)),
    Field("network_port", "Network_port", "other", "TCP port of the graphical console",
          lambda r: present(r.instance.network_port)),
)  # fmt: skip

_PLACE: Final[tuple[Field[InstanceRow], ...]] = (
    Field("pnode", "Primary_node", "text", "Primary node",
          lambda r: present(r.view.node_name(r.instance.primary_node)), comparing="hostname"),
    Field("pnode.group", "PrimaryNodeGroup", "text", "Node group of the primary node",
          _group_name),
    Field("pnode.group.uuid", "PrimaryNodeGroupUUID", "text",
          "UUID of the primary node's group", _group_uuid),
    Field("snodes", "Secondary_Nodes", "other", "Secondary nodes",
          lambda r: (0, [r.view.node_name(node) for node in r.secondary_nodes])),
    Field("snodes.group", "SecondaryNodesGroups", "other", "Node groups of the secondary nodes",
          lambda r: (0, [group.name for group in r.secondary_groups])),
    Field("snodes.group.uuid", "SecondaryNodesGroupsUUID", "other",
          "UUIDs of the secondary nodes' groups",
          lambda r: (0, [group.uuid for group in r.secondary_groups])),
    Field("disk_template", "Disk_template", "text", "How its disks are kept",
          lambda r: present(_disk_template(r))),
    Field("disk_usage", "DiskUsage", "unit", "What its disks take",
          lambda r: (0, sum(map(_space, r.disks)))),
    Field("disks_active", "DisksActive", "bool", "Whether its disks should be usable",
          lambda r: present(r.instance.disks_active)),
)  # fmt: skip

_STATE: Final[tuple[Field[InstanceRow], ...]] = (
    Field("admin_state", "InstanceState", "text", "What is wanted: up, down or offline",
          lambda r: present(r.instance.admin_state)),
    Field("admin_state_source", "InstanceStateSource", "text", "Who wanted it: admin or user",
          lambda r: present(r.instance.admin_state_source)),
    Field("admin_up", "Autostart", "bool", "Whether it is wanted up", _admin_up),
    Field("status", "Status", "text", "What is wanted compared with what is",
          _status, source="instance"),
    Field("oper_state", "Running", "bool", "Whether it runs", _oper_state, source="instance"),
    Field("oper_ram", "Memory", "unit", "Memory that it has now", _oper_ram, source="instance"),
    Field("oper_vcpus", "VCPUs", "number", "Virtual processors that it has now", _oper_vcpus,
          source="instance"),
    Field("console", "Console", "other", "How to reach its console", _console,
          source="console"),
)  # fmt: skip


def _named() -> dict[str, Field[InstanceRow]]:
    groups = (_IDENTITY, _PLACE, _STATE, backend_fields(), hypervisor_fields(), disk_fields(),
              nic_fields())  # fmt: skip
    return {each.name: each for group in groups for each in group}


def _table() -> Table[InstanceRow]:
    fields = _named()
    aliases = [attrs.evolve(fields[target], name=alias) for alias, target in ALIASES.items()]
    return table("instance", "name", list(fields.values()), aliases)


INSTANCES: Final = _table()
