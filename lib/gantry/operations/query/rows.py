"""Rows of the resources that only jobs know: the cluster, OS definitions, external storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from gantry.core.query.cluster_fields import CLUSTER, ClusterRow
from gantry.core.query.external_storage import PROVIDERS, ProviderRow
from gantry.core.query.fields import Table
from gantry.core.query.live import NOTHING
from gantry.core.query.os_fields import OS_DEFINITIONS, OsRow, os_rows
from gantry.core.query.plan import Plan, Selection
from gantry.operations.whole import read_view
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.query import Filter, names_in
from gantry.protocols.runtime_types import OsDefinition
from gantry.protocols.wconfd import Selection as Part

Row = TypeVar("Row")

NO_PROVIDERS: Final[Sequence[ProviderRow]] = ()
"""No node of this version drives external storage, so that there is no usable provider."""


async def cluster_row(world: World) -> ClusterRow:
    """Return the only row that there is of the cluster."""
    return ClusterRow(await read_view(world), world.release(), await world.queue_state())


async def known_os(world: World) -> list[OsRow]:
    """Ask all nodes that run instances for their OS definitions; silent ones do not count."""
    part = await world.read(Part(nodes="all"))
    nodes = [n for n in part.nodes.values() if n.vm_capable and not n.offline]
    answers = await world.ask_all(nodes, lambda _, n: n.os_definitions())
    by_node: dict[str, tuple[OsDefinition, ...]] = {}
    for node in nodes:
        answer = answers[node.uuid]
        if isinstance(answer, tuple):
            by_node[node.name] = answer
    return os_rows(part.cluster, by_node)


async def plan_cluster(fields: Sequence[str], expression: Filter, world: World) -> Plan:
    """Plan a query of the cluster."""
    return _plan(CLUSTER, [await cluster_row(world)], fields, expression)


async def plan_os(fields: Sequence[str], expression: Filter, world: World) -> Plan:
    """Plan a query of OS definitions.

    Raises:
        OpPrereqError: one that was asked for by its name is on no node.
    """
    found = {row.name: row for row in await known_os(world)}
    names = [str(name) for name in names_in(expression, "name")]
    if missing := [name for name in names if name not in found]:
        text = f"no node has the OS definition {', '.join(missing)}"
        raise OpPrereqError(text, "unknown_entity")
    rows = [found[name] for name in names] if names else list(found.values())
    return _plan(OS_DEFINITIONS, rows, fields, expression)


def plan_providers(fields: Sequence[str], expression: Filter) -> Plan:
    """Plan a query of the providers of external storage."""
    return _plan(PROVIDERS, NO_PROVIDERS, fields, expression)


def _plan(
    table: Table[Row], rows: Sequence[Row], fields: Sequence[str], expression: Filter
) -> Plan:
    chosen = Selection(table, rows, lambda row, _: row, lambda _, __: NOTHING)
    return chosen.plan(fields, expression)
