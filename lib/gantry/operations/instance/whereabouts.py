"""Find out where an instance is that a move which failed left somewhere, and note it."""

from __future__ import annotations

from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import running_on
from gantry.operations.operation import step
from gantry.operations.world import World
from gantry.protocols.changes import SetInstancePrimary
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.steps import Commit, Step
from gantry.protocols.wconfd import ConfigPart


async def note_whereabouts(
    world: World, part: ConfigPart, instance: Instance, target: Node
) -> tuple[Step, ...]:
    """Return the steps that note on which of two nodes an instance is.

    Raises:
        OpPrereqError: it runs on both, or a node does not answer.
    """
    spec = instance_spec(part, instance)
    source = part.nodes[instance.primary_node]
    here = await running_on(world, source, spec)
    there = await running_on(world, target, spec) if target.uuid != source.uuid else None
    if here is not None and there is not None:
        raise OpPrereqError(
            f"instance {instance.name} runs on both {source.name} and {target.name}; "
            "stop one of them by hand",
            "wrong_state",
        )
    where = target if there is not None else source
    world.say(f"instance {instance.name} belongs to node {where.name}")
    if there is None:
        return ()
    do = Commit(SetInstancePrimary(instance.uuid, target.uuid))
    undo = Commit(SetInstancePrimary(instance.uuid, source.uuid))
    return (step("note the new primary node", "idempotent", do, undo),)
