"""All opcodes by their name on the wire.

The modules are imported when a class is asked for: a program that sends one opcode does not
load the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from gantry.protocols.opcodes.opcode import Opcode, op_id_of

_MODULES: Final = {
    "backup": ("OpBackupExport", "OpBackupPrepare", "OpBackupRemove"),
    "cluster": (
        "OpClusterActivateMasterIp",
        "OpClusterConfigQuery",
        "OpClusterDeactivateMasterIp",
        "OpClusterDestroy",
        "OpClusterPostInit",
        "OpClusterQuery",
        "OpClusterRedistConf",
        "OpClusterRename",
        "OpClusterRenewCrypto",
        "OpClusterRepairDiskSizes",
        "OpClusterSetParams",
    ),
    "disks": (
        "OpInstanceActivateDisks",
        "OpInstanceDeactivateDisks",
        "OpInstanceGrowDisk",
        "OpInstanceRecreateDisks",
        "OpInstanceReplaceDisks",
    ),
    "group": (
        "OpGroupAdd",
        "OpGroupAssignNodes",
        "OpGroupEvacuate",
        "OpGroupRemove",
        "OpGroupRename",
        "OpGroupSetParams",
    ),
    "instance": (
        "OpInstanceConsole",
        "OpInstanceCreate",
        "OpInstanceMultiAlloc",
        "OpInstanceQueryData",
        "OpInstanceReboot",
        "OpInstanceReinstall",
        "OpInstanceRemove",
        "OpInstanceRename",
        "OpInstanceSetParams",
        "OpInstanceShutdown",
        "OpInstanceStartup",
    ),
    "network": (
        "OpNetworkAdd",
        "OpNetworkConnect",
        "OpNetworkDisconnect",
        "OpNetworkRemove",
        "OpNetworkRename",
        "OpNetworkSetParams",
    ),
    "node": (
        "OpNodeAdd",
        "OpNodeCleanUp",
        "OpNodeEvacuate",
        "OpNodeMigrate",
        "OpNodePowercycle",
        "OpNodeRemove",
        "OpNodeSetParams",
        "OpOobCommand",
        "OpRestrictedCommand",
    ),
    "os_definitions": ("OpOsDiagnose",),
    "query": ("OpQuery", "OpQueryFields"),
    "relocation": (
        "OpInstanceChangeGroup",
        "OpInstanceFailover",
        "OpInstanceMigrate",
        "OpInstanceMove",
    ),
    "storage": (
        "OpExtStorageDiagnose",
        "OpNodeModifyStorage",
        "OpNodeQueryStorage",
        "OpNodeQueryvols",
        "OpRepairNodeStorage",
    ),
    "tags": ("OpTagsDel", "OpTagsGet", "OpTagsSearch", "OpTagsSet"),
    "testing": (
        "OpTestAllocator",
        "OpTestDelay",
        "OpTestDummy",
        "OpTestJqueue",
        "OpTestOsParams",
    ),
    "verification": (
        "OpClusterVerify",
        "OpClusterVerifyConfig",
        "OpClusterVerifyDisks",
        "OpClusterVerifyGroup",
        "OpGroupVerifyDisks",
    ),
}

OPCODES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        op_id_of(name): (f"gantry.protocols.opcodes.{module}", name)
        for module, names in _MODULES.items()
        for name in names
    }
)
"""Module and class name by OP_ID."""


@cache
def opcode_class(op_id: str) -> type[Opcode]:
    """Return the class of an opcode.

    Raises:
        KeyError: there is no such opcode.
    """
    module, name = OPCODES[op_id]
    return cast("type[Opcode]", getattr(import_module(module), name))
