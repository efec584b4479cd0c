"""``gnt-cluster verify-disks``: look at all disks, and activate those that should be usable."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Command
from gantry.cli.errors import PeerMisuse, ServerFailure
from gantry.cli.gnt_cluster.verify import child_jobs
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import JobOutcome, run_opcode, wait_for_all
from gantry.cli.options import Option
from gantry.cli.standard_options import DRY_RUN, NODE_GROUP, PRIORITY

OPTIONS: tuple[Option[object], ...] = (NODE_GROUP, PRIORITY, DRY_RUN)


def run_verify_disks(call: Invocation) -> int:
    """Look, say what is wrong, and mend what can be mended."""
    opcode = call.opcode("OP_CLUSTER_VERIFY_DISKS", {"group_name": call.options[NODE_GROUP]})
    outcomes = wait_for_all(call, [("", job) for job in child_jobs(run_opcode(call, opcode))])
    good = [_mend(call, outcome) for outcome in outcomes]
    return exit_codes.SUCCESS if all(good) else exit_codes.FAILURE


def _mend(call: Invocation, outcome: JobOutcome) -> bool:
    """Act on what one group's job found; return whether all is well then."""
    if outcome.error is not None:
        return False
    match outcome.results:
        case [[dict() as errors, list() as inactive, dict() as missing]]:
            pass
        case other:
            raise PeerMisuse(f"a verification of disks {other!r}")
    for node, text in sorted(errors.items()):
        call.say(f"Node {node} could not be asked: {text}")
    for instance, volumes in sorted(missing.items()):
        call.say(f"Instance {instance} lacks volumes:")
        for node, volume in volumes:
            call.say(f"  {node} {volume}")
    activated = [_activate(call, str(name)) for name in inactive if name not in missing]
    return not errors and not missing and all(activated)


def _activate(call: Invocation, instance: str) -> bool:
    call.say(f"Activating the disks of instance '{instance}'")
    try:
        run_opcode(call, call.opcode("OP_INSTANCE_ACTIVATE_DISKS", {"instance_name": instance}))
    except ServerFailure as error:
        call.complain(f"The disks of instance '{instance}' can not be activated: {error.text}")
        return False
    return True


COMMANDS = (Command("verify-disks", run_verify_disks, (), OPTIONS),)
