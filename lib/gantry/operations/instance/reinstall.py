"""OP_INSTANCE_REINSTALL: run the OS scripts of a stopped instance again.

What was on its disks is gone once the script runs; an interrupted installation is begun anew.
"""

from __future__ import annotations

from typing import Final

import attrs

from gantry.operations.hooks import with_hooks
from gantry.operations.instance.create import OS_SECONDS_MAX
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.os_check import check_os
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import running_on
from gantry.operations.lookup import disks_of, read_instance
from gantry.operations.operation import Locks, Operation, locks, step
from gantry.operations.updates import update_instance
from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import call
from gantry.protocols.opcodes.instance import OpInstanceReinstall
from gantry.protocols.runtime_types import InstanceSpec
from gantry.protocols.steps import NoUndo, Plan, Step


async def needed_locks(opcode: OpInstanceReinstall, world: World) -> Locks:
    """Lock the instance."""
    _, instance = await read_instance(world, opcode.instance_name)
    return locks(("instance", "exclusive", [instance.name]))


async def plan(opcode: OpInstanceReinstall, world: World) -> Plan:
    """Note another OS definition if there is one, then install it.

    OS parameters of the opcode are for this installation only.
    """
    part, instance = await read_instance(world, opcode.instance_name)
    node, name = part.nodes[instance.primary_node], instance.name
    changed = attrs.evolve(instance, os=opcode.os_type or instance.os)
    spec = instance_spec(part, changed)
    if not spec.disks:
        text = f"instance {name} has no disks on which an OS could be installed"
        raise OpPrereqError(text, "wrong_input")
    if not changed.os:
        raise OpPrereqError(f"say which OS definition instance {name} is to get (-o)")
    if instance.admin_state != "down" or await running_on(world, node, spec) is not None:
        text = f"instance {name} is not stopped; shut it down to reinstall it"
        raise OpPrereqError(text, "wrong_state")
    private = {key: str(v.value) for key, v in (opcode.osparams_private or {}).items()}
    public = {key: str(v) for key, v in (opcode.osparams or {}).items()}
    secret = opcode.osparams_secret or {}
    await check_os(
        world, node, changed.os, {*public, *private, *secret}, force_variant=opcode.force_variant
    )
    steps: list[Step] = [] if changed == instance else [update_instance(instance, changed)]
    spec = attrs.evolve(spec, osparams={**spec.osparams, **public, **private})
    steps.append(_install(spec, has_secrets=bool(secret)))
    variables = instance_variables(part, changed, spec, disks_of(part, instance), "down")
    hooks = instance_hooks("instance-reinstall", part, spec, variables)
    return with_hooks(Plan(opcode.op_id(), OPERATION.version, tuple(steps)), hooks, part)


def _install(spec: InstanceSpec, *, has_secrets: bool) -> Step:
    do = call(
        spec.primary_node,
        lambda n, t: n.create_os(t, spec, True, {}),  # noqa: FBT003 - recorded, see call()
        secrets="secrets" if has_secrets else None,
        deadline_seconds=OS_SECONDS_MAX,
    )
    back = NoUndo("what was on the disks is gone")
    return step(f"run the create script of OS {spec.os}", "compensated", do, back)


OPERATION: Final = Operation(OpInstanceReinstall, needed_locks, plan)
