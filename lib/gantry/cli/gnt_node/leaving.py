"""``gnt-node migrate``, ``evacuate`` and ``failover``: instances leave a node."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.gnt_cluster.verify import child_jobs
from gantry.cli.gnt_instance.change import (
    IGNORE_CONSISTENCY,
    MIGRATION_MODE,
    NO_RUNTIME_CHANGES,
    NOT_LIVE,
)
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import NamedJob, submit_all, submit_or_run, wait_for_all
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import TEXT
from gantry.cli.options import Option, flag, value
from gantry.cli.standard_options import (
    DRY_RUN,
    FORCE,
    IALLOCATOR,
    IGNORE_POLICY,
    PRIORITY,
    SUBMISSION,
    SUBMIT,
    TARGET_NODE,
)
from gantry.cli.terminal import confirm

NEW_SECONDARY = value("-n --new-secondary", "dst_node", TEXT, "new node of mirrored disks", "NODE")
EARLY_RELEASE = flag("--early-release", "early_release", "do not wait for the new mirrors")
SOFT_ERRORS = flag("--ignore-soft-errors", "ignore_soft_errors", "overcommit memory if need be")
PRIMARY_ONLY = flag("-p --primary-only", "primary_only", "only instances that run there")
SECONDARY_ONLY = flag("-s --secondary-only", "secondary_only", "only mirrors of disks")

MIGRATE_OPTIONS: tuple[Option[object], ...] = (
    DRY_RUN,
    FORCE,
    NOT_LIVE,
    MIGRATION_MODE,
    TARGET_NODE,
    IALLOCATOR,
    PRIORITY,
    IGNORE_POLICY,
    NO_RUNTIME_CHANGES,
    *SUBMISSION,
)
EVACUATE_OPTIONS: tuple[Option[object], ...] = (
    DRY_RUN,
    FORCE,
    IALLOCATOR,
    SOFT_ERRORS,
    NEW_SECONDARY,
    EARLY_RELEASE,
    PRIORITY,
    PRIMARY_ONLY,
    SECONDARY_ONLY,
    *SUBMISSION,
)
FAILOVER_OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    IGNORE_CONSISTENCY,
    IALLOCATOR,
    PRIORITY,
    DRY_RUN,
)


def run_migrate(call: Invocation) -> int:
    """Migrate all instances away from a node."""
    name, options = call.arguments[0], call.options
    mode = options[MIGRATION_MODE]
    if not options[NOT_LIVE]:
        if mode is not None:
            raise CommandError("Failure: give either --non-live or --migration-mode, not both")
        mode = "non-live"
    names = _instances(call, name, "pinst_list")
    if not names:
        call.say(f"No primary instances on node {name}, nothing to do.")
        return exit_codes.SUCCESS
    question = f"Migrate the instances {', '.join(names)} away from node {name}?"
    if not options[FORCE] and not confirm(question):
        return exit_codes.FAILURE
    changes: Opcode = {
        "node_name": name,
        "mode": mode,
        "iallocator": options[IALLOCATOR],
        "target_node": options[TARGET_NODE],
        "allow_runtime_changes": options[NO_RUNTIME_CHANGES],
        "ignore_ipolicy": options[IGNORE_POLICY],
    }
    return _follow(call, call.opcode("OP_NODE_MIGRATE", changes))


def run_evacuate(call: Invocation) -> int:
    """Have an allocator find out how instances leave a node, and do that."""
    name, options = call.arguments[0], call.options
    if options[PRIMARY_ONLY] and options[SECONDARY_ONLY]:
        raise CommandError("Failure: give either --primary-only or --secondary-only, not both")
    mode = "all"
    if options[PRIMARY_ONLY]:
        mode = "primary-only"
    elif options[SECONDARY_ONLY]:
        mode = "secondary-only"
    if not options[FORCE] and not confirm(f"Evacuate node {name} ({mode})?"):
        return exit_codes.FAILURE
    changes: Opcode = {
        "node_name": name,
        "mode": mode,
        "remote_node": options[NEW_SECONDARY],
        "iallocator": options[IALLOCATOR],
        "early_release": options[EARLY_RELEASE],
        "ignore_soft_errors": options[SOFT_ERRORS] or None,
    }
    return _follow(call, call.opcode("OP_NODE_EVACUATE", changes))


def _follow(call: Invocation, opcode: Opcode) -> int:
    """Run an opcode that submits jobs, and wait for those."""
    result = submit_or_run(call, opcode)
    if call.options[SUBMIT]:
        return exit_codes.SUCCESS
    outcomes = wait_for_all(call, [("", job) for job in child_jobs(result)])
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed:
        call.complain(f"{failed} of {len(outcomes)} jobs have failed")
        return exit_codes.FAILURE
    call.say(f"All {len(outcomes)} instances have left" if outcomes else "No instance had to leave")
    return exit_codes.SUCCESS


def run_failover(call: Invocation) -> int:
    """Restart the instances of a node elsewhere: one job for each."""
    name, options = call.arguments[0], call.options
    names = _instances(call, name, "pinst_list")
    if not names:
        call.complain(f"No primary instances on node {name}")
        return exit_codes.SUCCESS
    if not options[FORCE] and not confirm(f"Fail over the instances {', '.join(names)}?"):
        return exit_codes.FAILURE
    changes: Opcode = {
        "ignore_consistency": options[IGNORE_CONSISTENCY],
        "iallocator": options[IALLOCATOR],
    }
    jobs = [
        NamedJob(each, [call.opcode("OP_INSTANCE_FAILOVER", {"instance_name": each, **changes})])
        for each in names
    ]
    return submit_all(call, jobs)


def _instances(call: Invocation, node: str, field: str) -> list[str]:
    answer = call.client.query("node", [field], ["|", ["==", "name", node]])
    found = answer.rows[0][0][1] if answer.rows else None
    return [str(each) for each in found] if isinstance(found, list) else []


ONE = (Arguments("node", 1, 1),)
COMMANDS = (
    Command("evacuate", run_evacuate, ONE, EVACUATE_OPTIONS),
    Command("failover", run_failover, ONE, FAILOVER_OPTIONS),
    Command("migrate", run_migrate, ONE, MIGRATE_OPTIONS),
)
