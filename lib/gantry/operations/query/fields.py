"""OP_QUERY_FIELDS: return the definitions of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gantry.core.query.cluster_fields import CLUSTER
from gantry.core.query.engine import DEFINITIONS
from gantry.core.query.external_storage import PROVIDERS
from gantry.core.query.os_fields import OS_DEFINITIONS
from gantry.core.query.plan import described
from gantry.operations.operation import Operation, only_the_big_lock
from gantry.operations.world import World
from gantry.protocols.opcodes.query import OpQueryFields
from gantry.protocols.query import FieldDefinition, JobResource
from gantry.protocols.steps import Plan

OF_JOBS: Final[Mapping[JobResource, Callable[[Sequence[str] | None], list[FieldDefinition]]]] = {
    "cluster": CLUSTER.definitions,
    "os": OS_DEFINITIONS.definitions,
    "extstorage": PROVIDERS.definitions,
}


async def plan(opcode: OpQueryFields, world: World) -> Plan:
    """Do nothing but look them up."""
    what = opcode.what
    if what == "cluster" or what == "os" or what == "extstorage":
        found = OF_JOBS[what](opcode.fields or None)
    else:
        found = DEFINITIONS[what](opcode.fields or None)
    result = {"fields": [described(each) for each in found]}
    return Plan(opcode.op_id(), OPERATION.version, (), result)


OPERATION: Final = Operation(OpQueryFields, only_the_big_lock, plan)
