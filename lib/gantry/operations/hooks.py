"""Hooks around a plan: which scripts run where, and what they are told.

Pre-hooks run before the first step and may refuse; post-hooks run after the last and only warn.
A plan that changes the configuration also runs ``config-update`` on the master. See the
reference of hooks for the paths, nodes and variables of each operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import attrs
from attrs import frozen

from gantry.operations.operation import step
from gantry.protocols.identity import NodeUuid
from gantry.protocols.steps import Commit, NoUndo, Plan, RunHooks, Step
from gantry.protocols.wconfd import ConfigPart

ObjectType = Literal["CLUSTER", "NODE", "GROUP", "INSTANCE", "NETWORK"]

HOOKS_VERSION: Final = "2"
SEARCH_PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"

_NOT_UNDONE: Final = NoUndo("a hook script answers for what it does; it runs at least once")


@frozen
class Hooks:
    """The hooks of one operation."""

    path: str
    object_type: ObjectType
    pre_nodes: tuple[NodeUuid, ...]
    post_nodes: tuple[NodeUuid, ...]
    variables: Mapping[str, object]
    """Without the prefix ``GANETI_``; values are rendered as Python does (True, None, ...)."""


def _environment(
    hooks: Hooks, operation: str, part: ConfigPart, phase: Literal["pre", "post"], path: str
) -> dict[str, str]:
    master = part.nodes.get(part.cluster.master_node)
    always = {
        "HOOKS_VERSION": HOOKS_VERSION,
        "OP_CODE": operation,
        "DATA_DIR": "/var/lib/ganeti",
        "HOOKS_PHASE": phase,
        "HOOKS_PATH": path,
        "OBJECT_TYPE": hooks.object_type,
        "CLUSTER": part.cluster.cluster_name,
        "MASTER": master.name if master else "",
    }
    rendered = {f"GANETI_{name}": str(value) for name, value in hooks.variables.items()}
    fixed = {f"GANETI_{name}": value for name, value in always.items()}
    if phase == "post":
        rendered |= {f"GANETI_POST_{n}": str(value) for n, value in hooks.variables.items()}
    return {"PATH": SEARCH_PATH, **rendered, **fixed}


def _run(
    hooks: Hooks,
    plan: Plan,
    part: ConfigPart,
    phase: Literal["pre", "post"],
    *,
    only_master: bool = False,
) -> Iterable[Step]:
    path = "config-update" if only_master else hooks.path
    nodes = hooks.pre_nodes if phase == "pre" else hooks.post_nodes
    if only_master:
        nodes = (part.cluster.master_node,)
    reachable = tuple(n for n in nodes if n in part.nodes and not part.nodes[n].offline)
    if reachable:
        told = _environment(hooks, plan.operation, part, phase, path)
        action = RunHooks(path, phase, reachable, told)
        name = f"{phase}-hooks {path}"
        yield step(name, "idempotent", action, _NOT_UNDONE, tolerate=phase == "post")


def with_hooks(plan: Plan, hooks: Hooks, part: ConfigPart) -> Plan:
    """Return the plan with its hooks before and after it; ``part`` must hold the nodes."""
    before = _run(hooks, plan, part, "pre")
    after = [*_run(hooks, plan, part, "post")]
    if any(isinstance(each.do, Commit) for each in plan.steps):
        after += _run(hooks, plan, part, "post", only_master=True)
    return attrs.evolve(plan, steps=(*before, *plan.steps, *after))
