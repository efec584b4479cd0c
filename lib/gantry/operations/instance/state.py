"""What an instance is doing now, and the steps by which that changes."""

from __future__ import annotations

from typing import Final

import attrs

from gantry.operations.lookup import check_online
from gantry.operations.operation import step
from gantry.operations.world import World
from gantry.protocols.changes import AdminState, AdminStateSource, SetInstanceState
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.noded import InstanceHere, call
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.runtime_types import InstanceRuntime, InstanceSpec
from gantry.protocols.steps import Commit, NoUndo, Step

START_SECONDS_MAX: Final = 300.0
STOP_SLACK_SECONDS: Final = 60.0
"""What a node may take longer than the guest got for powering off."""


async def look_on(world: World, node: Node, spec: InstanceSpec) -> InstanceHere:
    """Look for an instance on a node, and at what the node could give it."""
    check_online(node)
    return await world.ask(node, lambda n: n.instance(spec.hypervisor, spec.name))


def running(here: InstanceHere) -> InstanceRuntime | None:
    """Return the instance as it runs on the node, or ``None`` if it does not run there."""
    runtime = here.runtime
    return runtime if runtime is not None and runtime.state in ("running", "paused") else None


async def running_on(world: World, node: Node, spec: InstanceSpec) -> InstanceRuntime | None:
    """Look for an instance on a node and return it as :func:`running` does."""
    return running(await look_on(world, node, spec))


def set_state(
    instance: Instance,
    admin_state: AdminState,
    source: AdminStateSource = "admin",
    *,
    name: str | None = None,
) -> Step:
    """Return the step that says what the instance should be doing."""
    active = admin_state == "up"
    do = SetInstanceState(instance.uuid, admin_state, source, active)
    undo = SetInstanceState(
        instance.uuid,
        instance.admin_state,
        instance.admin_state_source,
        instance.disks_active,
    )
    label = name or f"mark instance {instance.name} as {admin_state}"
    return step(label, "idempotent", Commit(do), Commit(undo))


def start(spec: InstanceSpec, *, was_running: bool = False, paused: bool = False) -> Step:
    """Return the step that starts an instance on its primary node."""
    do = call(
        spec.primary_node,
        lambda n, t: n.start_instance(t, spec, paused),
        deadline_seconds=START_SECONDS_MAX,
    )
    undo = call(
        spec.primary_node,
        lambda n, t: n.stop_instance(t, spec, True, 0.0),  # noqa: FBT003 - recorded, see call()
        deadline_seconds=STOP_SLACK_SECONDS,
    )
    back = NoUndo("it was running before") if was_running else undo
    return step(f"start instance {spec.name}", "idempotent", do, back)


def stop(
    spec: InstanceSpec,
    timeout_seconds: float,
    *,
    was_running: bool,
    force: bool = False,
    tolerate: bool = False,
) -> Step:
    """Return the step that stops an instance on its primary node."""
    do = call(
        spec.primary_node,
        lambda n, t: n.stop_instance(t, spec, force, timeout_seconds),
        deadline_seconds=timeout_seconds + STOP_SLACK_SECONDS,
    )
    undo = call(
        spec.primary_node,
        lambda n, t: n.start_instance(t, spec, False),  # noqa: FBT003 - recorded, see call()
        deadline_seconds=START_SECONDS_MAX,
    )
    back = undo if was_running else NoUndo("it was not running before")
    label = f"shut down instance {spec.name}"
    return step(label, "idempotent", do, back, tolerate=tolerate)


async def check_memory(world: World, node: Node, spec: InstanceSpec) -> None:
    """Refuse to start an instance for which a node has no memory.

    Raises:
        OpPrereqError: there is less free than the instance needs.
    """
    require_memory(await look_on(world, node, spec), node, spec)


def require_memory(here: InstanceHere, node: Node, spec: InstanceSpec) -> None:
    """Refuse as :func:`check_memory` does, on a node that was looked at already."""
    if here.memory_free_mib < spec.maxmem_mib:
        raise OpPrereqError(
            f"node {node.name} has {here.memory_free_mib} MiB of free memory, instance {spec.name} "
            f"needs {spec.maxmem_mib}; stop another instance or use another node",
            "insufficient_resources",
        )


def at_node(spec: InstanceSpec, node: Node) -> InstanceSpec:
    """Return the instance as another node has to run it."""
    return attrs.evolve(spec, primary_node=node.uuid)
