"""Which opcodes can be carried out, and where their operations are.

Modules are imported on first use: a command or daemon that only asks whether an opcode is
available loads none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Final, cast

from gantry.operations.operation import AnyOperation
from gantry.protocols.errors import OpPrereqError

_HERE: Final = "gantry.operations"

OPERATIONS: Final[Mapping[str, str]] = {
    "OP_CLUSTER_ACTIVATE_MASTER_IP": f"{_HERE}.cluster.activate_master_ip",
    "OP_CLUSTER_CONFIG_QUERY": f"{_HERE}.cluster.config_query",
    "OP_CLUSTER_DEACTIVATE_MASTER_IP": f"{_HERE}.cluster.deactivate_master_ip",
    "OP_CLUSTER_DESTROY": f"{_HERE}.cluster.destroy",
    "OP_CLUSTER_QUERY": f"{_HERE}.cluster.query",
    "OP_CLUSTER_SET_PARAMS": f"{_HERE}.cluster.modify",
    "OP_CLUSTER_VERIFY": f"{_HERE}.cluster.verify",
    "OP_CLUSTER_VERIFY_CONFIG": f"{_HERE}.cluster.verify_config",
    "OP_CLUSTER_VERIFY_DISKS": f"{_HERE}.cluster.verify_disks",
    "OP_CLUSTER_VERIFY_GROUP": f"{_HERE}.cluster.verify_group",
    "OP_GROUP_ADD": f"{_HERE}.group.add",
    "OP_GROUP_ASSIGN_NODES": f"{_HERE}.group.assign_nodes",
    "OP_GROUP_REMOVE": f"{_HERE}.group.remove",
    "OP_GROUP_RENAME": f"{_HERE}.group.rename",
    "OP_GROUP_SET_PARAMS": f"{_HERE}.group.modify",
    "OP_GROUP_VERIFY_DISKS": f"{_HERE}.group.verify_disks",
    "OP_INSTANCE_ACTIVATE_DISKS": f"{_HERE}.instance.activate_disks",
    "OP_INSTANCE_CONSOLE": f"{_HERE}.instance.console",
    "OP_INSTANCE_CREATE": f"{_HERE}.instance.create",
    "OP_INSTANCE_DEACTIVATE_DISKS": f"{_HERE}.instance.deactivate_disks",
    "OP_INSTANCE_FAILOVER": f"{_HERE}.instance.failover",
    "OP_INSTANCE_MIGRATE": f"{_HERE}.instance.migrate",
    "OP_INSTANCE_QUERY_DATA": f"{_HERE}.instance.query_data",
    "OP_INSTANCE_REBOOT": f"{_HERE}.instance.reboot",
    "OP_INSTANCE_REINSTALL": f"{_HERE}.instance.reinstall",
    "OP_INSTANCE_REMOVE": f"{_HERE}.instance.remove",
    "OP_INSTANCE_RENAME": f"{_HERE}.instance.rename",
    "OP_INSTANCE_SET_PARAMS": f"{_HERE}.instance.modify",
    "OP_INSTANCE_SHUTDOWN": f"{_HERE}.instance.shutdown",
    "OP_INSTANCE_STARTUP": f"{_HERE}.instance.startup",
    "OP_NETWORK_ADD": f"{_HERE}.network.add",
    "OP_NETWORK_CONNECT": f"{_HERE}.network.connect",
    "OP_NETWORK_DISCONNECT": f"{_HERE}.network.disconnect",
    "OP_NETWORK_REMOVE": f"{_HERE}.network.remove",
    "OP_NETWORK_RENAME": f"{_HERE}.network.rename",
    "OP_NETWORK_SET_PARAMS": f"{_HERE}.network.modify",
    "OP_NODE_ADD": f"{_HERE}.node.add",
    "OP_NODE_CLEAN_UP": f"{_HERE}.node.clean_up",
    "OP_NODE_EVACUATE": f"{_HERE}.node.evacuate",
    "OP_NODE_MIGRATE": f"{_HERE}.node.migrate",
    "OP_NODE_REMOVE": f"{_HERE}.node.remove",
    "OP_NODE_SET_PARAMS": f"{_HERE}.node.modify",
    "OP_OS_DIAGNOSE": f"{_HERE}.os.diagnose",
    "OP_QUERY": f"{_HERE}.query.objects",
    "OP_QUERY_FIELDS": f"{_HERE}.query.fields",
    "OP_RESTRICTED_COMMAND": f"{_HERE}.node.restricted_command",
    "OP_TAGS_DEL": f"{_HERE}.tags.remove",
    "OP_TAGS_GET": f"{_HERE}.tags.get",
    "OP_TAGS_SEARCH": f"{_HERE}.tags.search",
    "OP_TAGS_SET": f"{_HERE}.tags.add",
    "OP_TEST_DELAY": f"{_HERE}.test.delay",
}
"""The module of each operation; its ``OPERATION`` is the :class:`Operation`."""


def is_available(op_id: str) -> bool:
    """Whether an opcode can be carried out."""
    return op_id in OPERATIONS


def check_available(op_id: str) -> None:
    """Refuse an opcode that is known but can not be carried out.

    Raises:
        OpPrereqError: there is no operation for it.
    """
    if not is_available(op_id):
        raise OpPrereqError(f"{op_id} is not available in this version of Gantry")


def operation(op_id: str) -> AnyOperation:
    """Return the operation for an opcode.

    Raises:
        OpPrereqError: there is none.
    """
    check_available(op_id)
    return cast(AnyOperation, _module(OPERATIONS[op_id]).OPERATION)


_module: Final = cache(importlib.import_module)
