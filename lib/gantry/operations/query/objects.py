"""OP_QUERY: return fields of objects.

Locks, jobs and job filter rules are LuxiD's to show: a job that asked for them would ask about
itself.
"""

from __future__ import annotations

from typing import Final

from gantry.core.query.engine import plan_query
from gantry.core.query.plan import Plan as QueryPlan
from gantry.operations.operation import Operation, only_the_big_lock
from gantry.operations.query.live import ask_nodes
from gantry.operations.query.rows import plan_cluster, plan_os, plan_providers
from gantry.operations.whole import EVERYTHING, view_of
from gantry.operations.world import World
from gantry.protocols.codec import Json, Malformed, from_bytes, rendered
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.opcodes.query import OpQuery
from gantry.protocols.query import Filter, Query, Resource, parse_filter
from gantry.protocols.steps import Plan


async def plan(opcode: OpQuery, world: World) -> Plan:
    """Do nothing but read and ask."""
    if opcode.use_locking:
        raise OpPrereqError("queries do not take locks; ask without use_locking", "wrong_input")
    try:
        expression = parse_filter(None if opcode.qfilter is None else list(opcode.qfilter))
    except Malformed as error:
        raise OpPrereqError(str(error), "wrong_input") from error
    return Plan(opcode.op_id(), OPERATION.version, (), await _answer(opcode, expression, world))


async def _answer(opcode: OpQuery, expression: Filter, world: World) -> Json:
    planned: QueryPlan
    match opcode.what:
        case "cluster":
            planned = await plan_cluster(opcode.fields, expression, world)
        case "os":
            planned = await plan_os(opcode.fields, expression, world)
        case "extstorage":
            planned = plan_providers(opcode.fields, expression)
        case "lock" | "job" | "filter":
            text = f"{opcode.what} is queried over LUXI, not by a job"
            raise OpPrereqError(text, "wrong_input")
        case what:
            return await _objects(what, opcode.fields, expression, world)
    return _as_json(planned.chosen().answer())


async def _objects(
    what: Resource, fields: tuple[str, ...], expression: Filter, world: World
) -> Json:
    part = await world.read(EVERYTHING)
    view = view_of(part)
    chosen = plan_query(Query(what, fields, expression), view, {}).chosen()
    return _as_json(chosen.answer(await ask_nodes(chosen.needs, view, part, world)))


def _as_json(answer: dict[str, Json]) -> Json:
    """Return an answer with lists for its cells: a result is stored, and compared, as JSON."""
    return from_bytes(rendered(answer))


OPERATION: Final = Operation(OpQuery, only_the_big_lock, plan)
