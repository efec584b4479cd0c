"""OP_INSTANCE_SET_PARAMS: change the parameters of an instance.

A running instance goes on as it was started; what is changed counts from its next start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from gantry.operations.hooks import with_hooks
from gantry.operations.instance.hook_variables import instance_hooks, instance_variables
from gantry.operations.instance.os_check import check_os
from gantry.operations.instance.policy import check_policy
from gantry.operations.instance.spec import instance_spec
from gantry.operations.instance.state import look_on, running, running_on
from gantry.operations.lookup import check_online, disks_of, read_instance
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.updates import update_instance
from gantry.operations.world import World
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.instance import OpInstanceSetParams
from gantry.protocols.parameters.backend import parse_beparams
from gantry.protocols.parameters.hypervisor import parse_instance_hvparams
from gantry.protocols.parameters.parameter_set import DEFAULT
from gantry.protocols.runtime_types import InstanceSpec
from gantry.protocols.steps import Plan

MISSING: Final = {
    "nics": "network interfaces",
    "disks": "disks",
    "disk_template": "the disk template",
    "runtime_mem": "the memory of a running instance",
    "pnode": "the primary node",
    "ext_params": "parameters of external storage",
    "hotplug": "devices of a running instance",
    "instance_communication": "instance communication",
}
"""What this version can not change, by the opcode's parameter."""

GIVEN: Final = ("beparams", "hvparams", "osparams", "osparams_private", "os_name")


async def needed_locks(opcode: OpInstanceSetParams, world: World) -> Locks:
    """Lock the instance and its node, and the node's group shared."""
    part, instance = await read_instance(world, opcode.instance_name)
    node = part.nodes[instance.primary_node]
    return locks(
        ("instance", "exclusive", [instance.name]),
        ("nodegroup", "shared", [node.group]),
        ("node", "exclusive", [node.uuid]),
    )


async def plan(opcode: OpInstanceSetParams, world: World) -> Plan:
    """Check what it would be, then note it; the result lists what was asked for."""
    _check_supported(opcode)
    part, instance = await read_instance(world, opcode.instance_name)
    changed = _changed(opcode, instance)
    old, new = instance_spec(part, instance), instance_spec(part, changed)
    node, disks = part.nodes[instance.primary_node], disks_of(part, instance)
    if opcode.beparams:
        group, force = part.groups[node.group], opcode.ignore_ipolicy
        check_policy(part.cluster, group, new, disks, force=force)
    await _check_state(opcode, world, node, instance, old)
    if opcode.os_name is not None or opcode.osparams or opcode.osparams_private:
        check_online(node)
        given = {*_set(opcode.osparams), *(opcode.osparams_private or {})}
        await check_os(world, node, changed.os, given, force_variant=opcode.force_variant)
    if new.maxmem_mib > old.maxmem_mib and not opcode.force and not node.offline:
        await _check_memory(world, node, old, new)
    steps = (update_instance(instance, changed),)
    result: list[Json] = [[name, value] for name, value in _asked(opcode, changed)]
    made = Plan(opcode.op_id(), OPERATION.version, steps, result)
    told = instance_variables(part, changed, new, disks, changed.admin_state)
    return with_hooks(made, instance_hooks("instance-modify", part, new, told), part)


def _check_supported(opcode: OpInstanceSetParams) -> None:
    for name, what in MISSING.items():
        if getattr(opcode, name):
            raise OpPrereqError(f"{what} can not be changed in this version")
    if opcode.offline is None and not any(getattr(opcode, name) for name in GIVEN):
        raise OpPrereqError("say what to change: nothing was given", "wrong_input")


def _set(given: Mapping[str, Json]) -> dict[str, str]:
    """Return the OS parameters that get a value."""
    return {name: str(value) for name, value in given.items() if value != DEFAULT}


def _merged(stored: Mapping[str, str], given: Mapping[str, Json]) -> dict[str, str]:
    kept = {name: value for name, value in stored.items() if given.get(name) != DEFAULT}
    return {**kept, **_set(given)}


def _changed(opcode: OpInstanceSetParams, instance: Instance) -> Instance:
    private = {name: each.value for name, each in (opcode.osparams_private or {}).items()}
    state = instance.admin_state
    if opcode.offline is not None:
        state = "offline" if opcode.offline else "down"
    return attrs.evolve(
        instance,
        beparams=parse_beparams(opcode.beparams).apply(instance.beparams),
        hvparams=parse_instance_hvparams(instance.hypervisor, opcode.hvparams).apply(
            instance.hvparams
        ),
        os=opcode.os_name or instance.os,
        osparams=_merged(instance.osparams, opcode.osparams),
        osparams_private=_merged(instance.osparams_private, private),
        admin_state=state,
    )


async def _check_state(
    opcode: OpInstanceSetParams, world: World, node: Node, instance: Instance, spec: InstanceSpec
) -> None:
    """Refuse to mark an instance offline that runs or should, and online that is not offline.

    Raises:
        OpPrereqError: with what to do first.
    """
    if opcode.offline is False and instance.admin_state != "offline":
        raise OpPrereqError(f"instance {instance.name} is not marked offline", "wrong_state")
    if not opcode.offline or instance.admin_state == "offline":
        return
    runs = not node.offline and await running_on(world, node, spec) is not None
    if runs or instance.admin_state == "up":
        text = f"instance {instance.name} is not stopped; shut it down to mark it offline"
        raise OpPrereqError(text, "wrong_state")


async def _check_memory(world: World, node: Node, old: InstanceSpec, new: InstanceSpec) -> None:
    here = await look_on(world, node, old)
    runs = running(here)
    has = here.memory_free_mib + (runs.memory_mib if runs is not None else 0)
    if has < new.maxmem_mib:
        raise OpPrereqError(
            f"node {node.name} could give instance {new.name} {has} MiB, not {new.maxmem_mib}: "
            "it would not start there (--force to change it anyway)",
            "insufficient_resources",
        )


def _asked(opcode: OpInstanceSetParams, changed: Instance) -> Iterator[tuple[str, Json]]:
    """Yield what was asked for under Ganeti's names; private values are not shown."""
    yield from ((f"be/{name}", value) for name, value in opcode.beparams.items())
    yield from ((f"hv/{name}", value) for name, value in opcode.hvparams.items())
    if opcode.os_name is not None:
        yield "os", opcode.os_name
    yield from ((f"os/{name}", value) for name, value in opcode.osparams.items())
    yield from ((f"os_private/{name}", "<hidden>") for name in opcode.osparams_private or {})
    if opcode.offline is not None:
        yield "admin_state", changed.admin_state


OPERATION: Final = Operation(OpInstanceSetParams, needed_locks, plan)
