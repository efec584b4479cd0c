"""OP_OS_DIAGNOSE: which OS definitions the nodes have, and whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import frozen

from gantry.operations.operation import Operation, only_the_big_lock
from gantry.operations.world import World
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.opcodes.os_definitions import OpOsDiagnose
from gantry.protocols.runtime_types import OsDefinition
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import Selection


@frozen
class Found:
    """One OS definition, as all nodes together see it."""

    name: str
    cluster: Cluster
    by_node: Mapping[str, tuple[OsDefinition, ...]]
    """By node name; of several on one node the first one counts."""

    @property
    def valid(self) -> bool:
        """Whether every node has it and it is usable there."""
        return all(found and found[0].ok for found in self.by_node.values())

    def common(self, values: Callable[[OsDefinition], tuple[Json, ...]]) -> list[Json]:
        """Return what the first definitions of all nodes have in common, if it is valid."""
        firsts = [found[0] for found in self.by_node.values() if found]
        if not self.valid or not firsts:
            return []
        rest = [values(each) for each in firsts[1:]]
        return [v for v in values(firsts[0]) if all(v in other for other in rest)]


def _row(each: OsDefinition) -> list[Json]:
    return [
        each.path,
        each.ok,
        each.problem,
        list(each.variants),
        [list(parameter) for parameter in each.parameters],
        list(each.api_versions),
        each.trusted,
    ]


_FIELDS: Final[Mapping[str, Callable[[Found], Json]]] = {
    "api_versions": lambda os: os.common(lambda each: each.api_versions),
    "blacklisted": lambda os: os.name in os.cluster.blacklisted_os,
    "hidden": lambda os: os.name in os.cluster.hidden_os,
    "name": lambda os: os.name,
    "node_status": lambda os: {n: [_row(each) for each in f] for n, f in os.by_node.items()},
    "os_hvp": lambda os: {hv: dict(p) for hv, p in os.cluster.os_hvp.get(os.name, {}).items()},
    "osparams": lambda os: dict(os.cluster.osparams.get(os.name, {})),
    "parameters": lambda os: os.common(lambda e: tuple(list(pair) for pair in e.parameters)),
    "trusted": lambda os: all(f[0].trusted for f in os.by_node.values() if f),
    "valid": lambda os: os.valid,
    "variants": lambda os: os.common(lambda each: each.variants),
}


async def plan(opcode: OpOsDiagnose, world: World) -> Plan:
    """Ask all nodes that run instances."""
    if unknown := sorted(set(opcode.output_fields) - _FIELDS.keys()):
        raise OpPrereqError(f"unknown output fields selected: {', '.join(unknown)}")
    part = await world.read(Selection(nodes="all"))
    nodes = [n for n in part.nodes.values() if n.vm_capable and not n.offline]
    answers = await world.ask_all(nodes, lambda _, n: n.os_definitions())
    by_node: dict[str, tuple[OsDefinition, ...]] = {}
    for node in nodes:
        answer = answers[node.uuid]
        if isinstance(answer, tuple):
            by_node[node.name] = answer
    names = sorted({each.name for found in by_node.values() for each in found})
    rows = []
    for name in names:
        if opcode.names and name not in opcode.names:
            continue
        own = {n: tuple(e for e in found if e.name == name) for n, found in by_node.items()}
        os = Found(name, part.cluster, own)
        rows.append([_FIELDS[field](os) for field in opcode.output_fields])
    return Plan(opcode.op_id(), OPERATION.version, (), rows)


OPERATION: Final = Operation(OpOsDiagnose, only_the_big_lock, plan)
