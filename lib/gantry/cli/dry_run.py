"""``--dry-run``: the plans that jobs made and did not carry out."""

from __future__ import annotations

from gantry.cli.errors import PeerMisuse
from gantry.cli.invocation import Invocation
from gantry.cli.job_steps import names_in, parse_plans, plan_lines

WOULD_DO = "would do: "
"""How the lines of a dry run's log begin, which are for clients that do not ask for the plan."""


def show_plan(call: Invocation, job: int) -> None:
    """Print what a job would have done."""
    match call.client.query_jobs([job], ["ops", "opsteps"]):
        case [[[*ops], [*found]]]:
            plans = parse_plans(found)
        case other:
            raise PeerMisuse(f"the plan of a job {other!r}")
    names = names_in(call.client, plans)
    for opcode, plan in zip(ops, plans, strict=False):
        name = opcode.get("OP_ID") if isinstance(opcode, dict) else "an opcode"
        if plan is None:
            call.say(f"{name}: no plan was made")
            continue
        call.say(f"{name} would do this (a dry run: nothing was changed):")
        for line in plan_lines(plan, names):
            call.say(f"  {line}")
