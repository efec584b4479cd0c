"""OP_CLUSTER_VERIFY_CONFIG: check every object of the configuration against every rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gantry.operations.cluster.findings import Finding, demoted, is_good, line
from gantry.operations.operation import Locks, Operation, all_of, locks
from gantry.operations.world import World
from gantry.protocols.locks import Level
from gantry.protocols.opcodes.verification import OpClusterVerifyConfig
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import ConfigPart, Invariant, Selection


async def needed_locks(opcode: OpClusterVerifyConfig, world: World) -> Locks:
    """Lock everything shared."""
    levels: tuple[Level, ...] = ("instance", "nodegroup", "node", "node-res", "network")
    return (*locks(), *(all_of(level, "shared") for level in levels))


async def plan(opcode: OpClusterVerifyConfig, world: World) -> Plan:
    """Check and report; the result is whether all is well."""
    world.say("* Verifying cluster config")
    broken = [_of_invariant(each) for each in await world.verify_configuration()]
    wanted = Selection("all", "all", "all", "all", leftovers_of_nodes="all")
    part = await world.read(wanted)
    found = [*broken, *_dangling(part), *_left_over(part)]
    if opcode.verbose:
        world.say(f"* Checked {_counted(part)} against every rule, and the indexes with them")
    if opcode.debug_simulate_errors:
        found.append(Finding("ECLUSTERCFG", "cluster", None, "simulated error"))
    reported = [demoted(each, opcode.ignore_errors) for each in found]
    world.say(*(line(each, codes=opcode.error_codes) for each in reported))
    return Plan(opcode.op_id(), OPERATION.version, (), is_good(reported))


def _of_invariant(broken: Invariant) -> Finding:
    text = f"{broken.kind} {broken.object}: {broken.text} ({broken.rule})"
    return Finding("ECLUSTERCFG", "cluster", None, text)


def _dangling(part: ConfigPart) -> Iterable[Finding]:
    for node in part.nodes.values():
        if node.group not in part.groups:
            text = "is in a node group that does not exist"
            yield Finding("ECLUSTERDANGLINGNODES", "node", node.name, text)
    for instance in part.instances.values():
        if instance.primary_node not in part.nodes:
            text = "has a primary node that does not exist"
            yield Finding("ECLUSTERDANGLINGINST", "node", instance.name, text)


def _left_over(part: ConfigPart) -> Iterable[Finding]:
    """Warn of what jobs had to leave on nodes; it is cleaned up before the object is used there."""
    for left in part.leftovers.values():
        node = part.nodes.get(str(left.node))
        text = (
            f"node {node.name if node else left.node} may still have a part of "
            f"{left.object_kind} {left.object_name}, which job {left.job} could not remove: "
            f"{left.reason}"
        )
        yield Finding("ECLUSTERCFG", "cluster", None, text, "WARNING")


def _counted(part: ConfigPart) -> str:
    counts = {
        "nodes": part.nodes,
        "node groups": part.groups,
        "instances": part.instances,
        "disks": part.disks,
        "networks": part.networks,
    }
    return ", ".join(f"{len(found)} {kind}" for kind, found in counts.items())


OPERATION: Final = Operation(OpClusterVerifyConfig, needed_locks, plan)
