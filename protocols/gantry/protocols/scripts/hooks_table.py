"""Which opcodes run hooks: the folder of their scripts and the kind of object they are about.

The scripts of a hook point lie in ``<path>-pre.d`` and ``<path>-post.d`` of a node's hooks folder;
opcodes that are not listed run none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from attrs import frozen

ObjectType = Literal["CLUSTER", "GROUP", "INSTANCE", "NETWORK", "NODE"]
"""The value of ``GANETI_OBJECT_TYPE``."""


@frozen
class HookPoint:
    """Where the hooks of an opcode are, and what they are about."""

    path: str
    """The value of ``GANETI_HOOKS_PATH``."""
    object_type: ObjectType


HOOK_POINTS: Final[Mapping[str, HookPoint]] = MappingProxyType(
    {
        "OP_BACKUP_EXPORT": HookPoint("instance-export", "INSTANCE"),
        "OP_CLUSTER_DESTROY": HookPoint("cluster-destroy", "CLUSTER"),
        "OP_CLUSTER_POST_INIT": HookPoint("cluster-init", "CLUSTER"),
        "OP_CLUSTER_RENAME": HookPoint("cluster-rename", "CLUSTER"),
        "OP_CLUSTER_SET_PARAMS": HookPoint("cluster-modify", "CLUSTER"),
        "OP_CLUSTER_VERIFY_GROUP": HookPoint("cluster-verify", "CLUSTER"),
        "OP_GROUP_ADD": HookPoint("group-add", "GROUP"),
        "OP_GROUP_EVACUATE": HookPoint("group-evacuate", "GROUP"),
        "OP_GROUP_REMOVE": HookPoint("group-remove", "GROUP"),
        "OP_GROUP_RENAME": HookPoint("group-rename", "GROUP"),
        "OP_GROUP_SET_PARAMS": HookPoint("group-modify", "GROUP"),
        "OP_INSTANCE_CHANGE_GROUP": HookPoint("instance-change-group", "INSTANCE"),
        "OP_INSTANCE_CREATE": HookPoint("instance-add", "INSTANCE"),
        "OP_INSTANCE_FAILOVER": HookPoint("instance-failover", "INSTANCE"),
        "OP_INSTANCE_GROW_DISK": HookPoint("disk-grow", "INSTANCE"),
        "OP_INSTANCE_MIGRATE": HookPoint("instance-migrate", "INSTANCE"),
        "OP_INSTANCE_MOVE": HookPoint("instance-move", "INSTANCE"),
        "OP_INSTANCE_REBOOT": HookPoint("instance-reboot", "INSTANCE"),
        "OP_INSTANCE_RECREATE_DISKS": HookPoint("instance-recreate-disks", "INSTANCE"),
        "OP_INSTANCE_REINSTALL": HookPoint("instance-reinstall", "INSTANCE"),
        "OP_INSTANCE_REMOVE": HookPoint("instance-remove", "INSTANCE"),
        "OP_INSTANCE_RENAME": HookPoint("instance-rename", "INSTANCE"),
        "OP_INSTANCE_REPLACE_DISKS": HookPoint("mirrors-replace", "INSTANCE"),
        "OP_INSTANCE_SET_PARAMS": HookPoint("instance-modify", "INSTANCE"),
        "OP_INSTANCE_SHUTDOWN": HookPoint("instance-stop", "INSTANCE"),
        "OP_INSTANCE_STARTUP": HookPoint("instance-start", "INSTANCE"),
        "OP_NETWORK_ADD": HookPoint("network-add", "NETWORK"),
        "OP_NETWORK_CONNECT": HookPoint("network-connect", "NETWORK"),
        "OP_NETWORK_DISCONNECT": HookPoint("network-disconnect", "NETWORK"),
        "OP_NETWORK_REMOVE": HookPoint("network-remove", "NETWORK"),
        "OP_NETWORK_RENAME": HookPoint("network-rename", "NETWORK"),
        "OP_NETWORK_SET_PARAMS": HookPoint("network-modify", "NETWORK"),
        "OP_NODE_ADD": HookPoint("node-add", "NODE"),
        "OP_NODE_MIGRATE": HookPoint("node-migrate", "NODE"),
        "OP_NODE_REMOVE": HookPoint("node-remove", "NODE"),
        "OP_NODE_SET_PARAMS": HookPoint("node-modify", "NODE"),
    }
)
"""By OP_ID."""
