"""The plans of jobs as LuxiD tells them (the field ``opsteps``), and how they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gantry.cli.errors import PeerMisuse
from gantry.cli.luxi import LuxiClient

Names = Mapping[str, str]
"""Names of nodes and node groups by their UUID."""


class StepView(NamedTuple):
    """One step, and how far it is."""

    name: str
    kind: str
    action: str
    nodes: tuple[str, ...]
    undo: str
    is_undone: bool
    state: str
    attempt: int | None
    began: float | None
    ended: float | None
    progress: str = ""
    """How far a step is that takes long, as text."""
    is_tolerated: bool = False


class PlanView(NamedTuple):
    """The plan of one opcode."""

    steps: tuple[StepView, ...]
    no_return: str | None
    locks: tuple[tuple[str, str], ...]
    """Names of locks and their modes."""
    dry_run: bool


def parse_plans(value: object) -> list[PlanView | None]:
    """Read the field ``opsteps``: for each opcode its plan, if it has one.

    Raises:
        PeerMisuse: it is malformed.
    """
    if not isinstance(value, list):
        raise PeerMisuse(f"the steps of a job {value!r}")
    return [None if each is None else _plan(each) for each in value]


def _plan(value: object) -> PlanView:
    match value:
        case {"steps": [*steps], "locks": [*locks], "dry_run": bool() as dry_run, **rest}:
            no_return = rest.get("no_return")
            return PlanView(
                tuple(map(_step, steps)),
                str(no_return) if no_return is not None else None,
                tuple(_lock(each) for each in locks),
                dry_run,
            )
        case other:
            raise PeerMisuse(f"a plan {other!r}")


def _lock(value: object) -> tuple[str, str]:
    match value:
        case {"name": str() as name, "mode": str() as mode}:
            return name, mode
        case other:
            raise PeerMisuse(f"a lock {other!r}")


def _step(value: object) -> StepView:
    match value:
        case {
            "outline": {
                "name": str() as name,
                "kind": str() as kind,
                "action": str() as action,
                "nodes": [*nodes],
                "undo": str() as undo,
                "is_undone": bool() as is_undone,
                **further,
            },
            "state": str() as state,
            **rest,
        }:
            attempt = rest.get("attempt")
            return StepView(
                name, kind, action, tuple(map(str, nodes)), undo, is_undone, state,
                attempt if isinstance(attempt, int) else None,
                _seconds(rest.get("began")), _seconds(rest.get("ended")),
                progress_text(rest.get("progress")), further.get("is_tolerated") is True,
            )  # fmt: skip
        case other:
            raise PeerMisuse(f"a step {other!r}")


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def progress_text(value: object) -> str:
    """Return how far a long step is; empty if it does not tell."""
    match value:
        case {"done": int() | float() as done, "total": int() | float() as total, "unit": unit}:
            share = f"{min(100.0, 100 * done / total):.0f} %" if total > 0 else ""
            known = f"{_amount(done, unit)} of {_amount(total, unit)}"
            return " ".join(filter(None, (share, f"({known})")))
        case _:
            return ""


def _amount(value: float, unit: object) -> str:
    if unit == "seconds":
        return f"{value:.0f} s"
    size = value / 2**20
    return f"{size:.0f} MiB" if size < 10240 else f"{size / 1024:.1f} GiB"


# --- text ----------------------------------------------------------------------------------------


def names_in(client: LuxiClient, plans: Iterable[PlanView | None]) -> Names:
    """Ask for the names of the nodes and node groups that plans speak of."""
    known = [plan for plan in plans if plan is not None]
    locked = {name.partition("/")[0] for plan in known for name, _ in plan.locks}
    acting = any(step.nodes for plan in known for step in plan.steps)
    names: dict[str, str] = {}
    if acting or locked & {"node", "node-res"}:
        names |= _names_of(client, "node")
    if "nodegroup" in locked:
        names |= _names_of(client, "group")
    return names


def _names_of(client: LuxiClient, what: str) -> Names:
    rows = client.query(what, ["uuid", "name"]).rows
    return {str(uuid): str(name) for (_, uuid), (_, name) in rows}


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that suits it: ``12 ms``, ``3.2 s``, ``4:05``, ``1:02:03``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def took(step: StepView, now: float | None = None) -> str:
    """Return how long a step took, or has taken until now; empty if that is not known."""
    end = step.ended if step.ended is not None else now if step.state == "running" else None
    if step.began is None or end is None:
        return ""
    return duration_text(max(0.0, end - step.began))


def _on_nodes(nodes: Sequence[str], names: Names) -> str:
    return f" on {', '.join(names.get(each, each) for each in nodes)}" if nodes else ""


def step_text(step: StepView, names: Names) -> str:
    """Say what a step does, how and where."""
    behind = "; a failure is only warned of" if step.is_tolerated else ""
    return f"{step.action}{_on_nodes(step.nodes, names)}{behind}"


def undo_text(step: StepView) -> str:
    """Say how a step is undone, or why it is not."""
    return f"undo: {step.undo}" if step.is_undone else f"no undo: {step.undo}"


def lock_text(lock: tuple[str, str], names: Names) -> str:
    """Return a lock with nodes by their names."""
    name, mode = lock
    level, _, member = name.partition("/")
    return f"{level}/{names.get(member, member)} ({mode})"


def plan_lines(plan: PlanView, names: Names) -> list[str]:
    """Return a plan as text: its locks, nodes and steps."""
    nodes = dict.fromkeys(node for step in plan.steps for node in step.nodes)
    shown = ", ".join(names.get(each, each) for each in nodes) or "none"
    lines = [
        f"Locks: {', '.join(lock_text(each, names) for each in plan.locks) or 'none'}",
        f"Nodes: {shown}",
        f"Steps: {len(plan.steps) or 'none'}",
    ]
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"{number:3}. {step.name} [{step.kind}]")
        lines.append(f"     {step_text(step, names)}")
        lines.append(f"     {undo_text(step)}")
        if step.name == plan.no_return:
            lines.append("     --- from here on nothing is undone ---")
    return lines
