"""``gnt-instance remove``, ``rename``, ``migrate`` and ``failover``."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import choice
from gantry.cli.options import Option, flag, negative_flag, value
from gantry.cli.standard_options import (
    DRY_RUN,
    FORCE,
    IALLOCATOR,
    IGNORE_POLICY,
    NO_ADDRESS_CHECK,
    NO_NAME_CHECK,
    PRIORITY,
    SHUTDOWN_TIMEOUT,
    SUBMISSION,
    TARGET_NODE,
)
from gantry.cli.terminal import confirm

IGNORE_FAILURES = flag(
    "--ignore-failures", "ignore_failures", "remove it from the cluster even if its disks stay"
)
NOT_LIVE = negative_flag("--non-live", "live", "stop the guest while it is moved")
MIGRATION_MODE = value(
    "--migration-mode", "migration_mode", choice("non-live", "live"), "whether it goes on running"
)
CLEANUP = flag("--cleanup", "cleanup", "only clean up after a migration that failed")
ALLOW_FAILOVER = flag("--allow-failover", "allow_failover", "fail over if it is not running")
IGNORE_VERSIONS = flag(
    "--ignore-hvversions", "ignore_hvversions", "ignore that the hypervisors' versions differ"
)
IGNORE_CONSISTENCY = flag(
    "--ignore-consistency", "ignore_consistency", "go on though its node does not answer"
)
NO_RUNTIME_CHANGES = negative_flag(
    "--no-runtime-changes", "allow_runtime_chgs", "do not shrink its memory to make it fit"
)

REMOVE_OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    SHUTDOWN_TIMEOUT,
    IGNORE_FAILURES,
    *SUBMISSION,
    DRY_RUN,
    PRIORITY,
)
RENAME_OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    NO_ADDRESS_CHECK,
    NO_NAME_CHECK,
    *SUBMISSION,
    DRY_RUN,
    PRIORITY,
)
MIGRATE_OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    NOT_LIVE,
    MIGRATION_MODE,
    CLEANUP,
    DRY_RUN,
    PRIORITY,
    TARGET_NODE,
    IALLOCATOR,
    ALLOW_FAILOVER,
    IGNORE_POLICY,
    IGNORE_VERSIONS,
    NO_RUNTIME_CHANGES,
    *SUBMISSION,
)
FAILOVER_OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    IGNORE_CONSISTENCY,
    *SUBMISSION,
    SHUTDOWN_TIMEOUT,
    DRY_RUN,
    PRIORITY,
    TARGET_NODE,
    IALLOCATOR,
    IGNORE_POLICY,
    CLEANUP,
)


def run_remove(call: Invocation) -> int:
    """Remove an instance and its disks."""
    name, options = call.arguments[0], call.options
    if not options[FORCE] and not confirm(
        f"Instance {name} and all data on its disks will be removed. Continue?"
    ):
        return exit_codes.FAILURE
    changes: Opcode = {
        "instance_name": name,
        "ignore_failures": options[IGNORE_FAILURES],
        "shutdown_timeout": options[SHUTDOWN_TIMEOUT],
    }
    submit_or_run(call, call.opcode("OP_INSTANCE_REMOVE", changes))
    return exit_codes.SUCCESS


def run_rename(call: Invocation) -> int:
    """Give an instance another name."""
    (name, new_name), options = call.arguments, call.options
    unchecked = not options[NO_NAME_CHECK] and not options[FORCE]
    if unchecked and not confirm(
        f"The name is not checked; '{new_name}' should be fully qualified. Continue?"
    ):
        return exit_codes.FAILURE
    changes: Opcode = {
        "instance_name": name,
        "new_name": new_name,
        "ip_check": options[NO_ADDRESS_CHECK],
        "name_check": options[NO_NAME_CHECK],
    }
    result = submit_or_run(call, call.opcode("OP_INSTANCE_RENAME", changes))
    if result and result != new_name:
        call.say(f"Instance '{name}' is now '{result}'")
    return exit_codes.SUCCESS


def run_migrate(call: Invocation) -> int:
    """Move an instance to another node while it runs."""
    name, options = call.arguments[0], call.options
    mode = options[MIGRATION_MODE]
    if not options[NOT_LIVE]:
        if mode is not None:
            raise CommandError("Failure: give either --non-live or --migration-mode, not both")
        mode = "non-live"
    question = (
        f"Instance {name} will be cleaned up after a failed migration. Continue?"
        if options[CLEANUP]
        else f"Instance {name} will be migrated to another node. Continue?"
    )
    if not options[FORCE] and not confirm(question):
        return exit_codes.FAILURE
    changes: Opcode = {
        "instance_name": name,
        "mode": mode,
        "cleanup": options[CLEANUP],
        "iallocator": options[IALLOCATOR],
        "target_node": options[TARGET_NODE],
        "allow_failover": options[ALLOW_FAILOVER],
        "allow_runtime_changes": options[NO_RUNTIME_CHANGES],
        "ignore_ipolicy": options[IGNORE_POLICY],
        "ignore_hvversions": options[IGNORE_VERSIONS],
    }
    submit_or_run(call, call.opcode("OP_INSTANCE_MIGRATE", changes))
    return exit_codes.SUCCESS


def run_failover(call: Invocation) -> int:
    """Stop an instance and start it on another node."""
    name, options = call.arguments[0], call.options
    question = (
        f"Instance {name} will be stopped and started on another node. Continue?"
        if not options[CLEANUP]
        else f"Instance {name} will be cleaned up after a failed failover. Continue?"
    )
    if not options[FORCE] and not confirm(question):
        return exit_codes.FAILURE
    changes: Opcode = {
        "instance_name": name,
        "ignore_consistency": options[IGNORE_CONSISTENCY],
        "shutdown_timeout": options[SHUTDOWN_TIMEOUT],
        "iallocator": options[IALLOCATOR],
        "target_node": options[TARGET_NODE],
        "ignore_ipolicy": options[IGNORE_POLICY],
        "cleanup": options[CLEANUP],
    }
    submit_or_run(call, call.opcode("OP_INSTANCE_FAILOVER", changes))
    return exit_codes.SUCCESS


ONE = (Arguments("instance", 1, 1),)
COMMANDS = (
    Command("failover", run_failover, ONE, FAILOVER_OPTIONS),
    Command("migrate", run_migrate, ONE, MIGRATE_OPTIONS),
    Command("remove", run_remove, ONE, REMOVE_OPTIONS),
    Command("rename", run_rename, (*ONE, Arguments("host", 1, 1)), RENAME_OPTIONS),
)
