"""``gnt-cluster modify``."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from gantry.cli import exit_codes
from gantry.cli.command import Command
from gantry.cli.errors import CommandError
from gantry.cli.gnt_cluster.lifecycle import INIT_OPTIONS
from gantry.cli.instance_policy import POLICY_OPTIONS, SPEC_TYPES, policy
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import BOOLEAN, INTEGER, TEXT, Identified, Parameters
from gantry.cli.options import Option, parameters, value
from gantry.cli.parameter_types import (
    BACKEND_TYPES,
    HYPERVISOR_TYPES,
    NODE_TYPES,
    by_ident,
    typed,
)
from gantry.cli.standard_options import DRY_RUN, FORCE, PRIORITY, SUBMISSION

_AS_AT_INIT = """
    beparams candidate_pool_size install_image enabled_hypervisors hvparams mac_prefix
    master_netdev master_netmask nicparams vg_name maintain_node_health uid_pool drbd_helper
    default_iallocator default_iallocator_params prealloc_wipe_disks ndparams
    use_external_mip_script diskparams hv_state disk_state enabled_disk_templates
    ipolicy_std_specs enabled_user_shutdown file_storage_dir shared_file_storage_dir zeroing_image
    compression_tools
"""
_AT_INIT: dict[str, Option[object]] = {option.dest: option for option in INIT_OPTIONS}

OPTIONS: tuple[Option[object], ...] = (
    FORCE,
    DRY_RUN,
    PRIORITY,
    *SUBMISSION,
    *(_AT_INIT[dest] for dest in _AS_AT_INIT.split()),
    *POLICY_OPTIONS,
    value("--max-running-jobs", "max_running_jobs", INTEGER, "jobs that run at the same time"),
    value("--max-tracked-jobs", "max_tracked_jobs", INTEGER, "jobs that are watched closely"),
    value(
        "--instance-communication-network",
        "instance_communication_network",
        TEXT,
        "network for talking to instances",
    ),
    value("--add-uids", "add_uids", TEXT, "user ids to add to the pool, as ranges"),
    value("--remove-uids", "remove_uids", TEXT, "user ids to take out of the pool"),
    value("--reserved-lvs", "reserved_lvs", TEXT, "comma list of volumes that are not ours"),
    value("--modify-etc-hosts", "modify_etc_hosts", BOOLEAN, "keep /etc/hosts", "yes|no"),
    parameters("--enabled-data-collectors", "enabled_data_collectors", "as NAME=yes|no"),
    parameters("--data-collector-interval", "data_collector_interval", "as NAME=seconds"),
)

AS_GIVEN = (
    "candidate_pool_size", "max_running_jobs", "max_tracked_jobs", "install_image", "mac_prefix",
    "instance_communication_network", "master_netdev", "vg_name", "maintain_node_health",
    "drbd_helper", "default_iallocator", "default_iallocator_params", "prealloc_wipe_disks",
    "use_external_mip_script", "modify_etc_hosts", "enabled_user_shutdown", "file_storage_dir",
    "shared_file_storage_dir", "zeroing_image",
)  # fmt: skip
"""Options that the opcode takes under their own names and as they are."""

MICROSECONDS = 1_000_000


def words(text: object) -> list[str]:
    """Return the words of a comma list."""
    return [word.strip() for word in str(text).split(",") if word.strip()]


def user_ids(text: object) -> list[list[int]]:
    """Return ranges of user ids, both ends included.

    Raises:
        CommandError: a word is no range.
    """
    ranges = []
    for word in words(text):
        first, _, last = word.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise CommandError(f"Failure: '{word}' is no range of user ids, such as 1000-1010")
        ranges.append([int(first), int(last or first)])
    return ranges


def _number(text: object) -> int:
    if not str(text).isdecimal():
        raise CommandError(f"Failure: '{text}' is not a whole number")
    return int(str(text))


def _per_hypervisor(given: object) -> Opcode:
    found = by_ident(cast("list[Identified]", given))
    return {name: typed(cast(Parameters, own), HYPERVISOR_TYPES) for name, own in found.items()}


def _kind(kinds: dict[str, object]) -> Callable[[object], object]:
    return lambda given: typed(cast(Parameters, given), kinds)  # type: ignore[arg-type] # a table


CONVERTED: dict[str, Callable[[object], object]] = {
    "beparams": _kind({**BACKEND_TYPES}),
    "ndparams": _kind({**NODE_TYPES}),
    "nicparams": _kind({}),
    "hvparams": _per_hypervisor,
    "diskparams": lambda given: by_ident(cast("list[Identified]", given)),
    "hv_state": lambda given: by_ident(cast("list[Identified]", given)),
    "disk_state": lambda given: by_ident(cast("list[Identified]", given)),
    "enabled_hypervisors": words,
    "enabled_disk_templates": words,
    "compression_tools": words,
    "reserved_lvs": words,
    "uid_pool": user_ids,
    "add_uids": user_ids,
    "remove_uids": user_ids,
    "master_netmask": _number,
    "enabled_data_collectors": lambda given: typed(
        cast(Parameters, given), dict.fromkeys(cast(Parameters, given), "bool")
    ),
    "data_collector_interval": lambda given: {
        name: _number(seconds) * MICROSECONDS for name, seconds in cast(Parameters, given).items()
    },
}
"""Options that the opcode takes in another form; an empty list or dictionary is one not given."""

EMPTIES_A_LIST = frozenset({"reserved_lvs", "uid_pool", "compression_tools"})
"""Options that mean something when they are empty."""


def run_modify(call: Invocation) -> int:
    """Change the cluster's settings."""
    given = call.options.by_dest()
    changes: Opcode = {name: given[name] for name in AS_GIVEN if given.get(name) is not None}
    for name, convert in CONVERTED.items():
        content = given.get(name)
        if content or (content is not None and name in EMPTIES_A_LIST):
            changes[name] = convert(content)
    limits = policy(call.options) or {}
    if standard := given.get("ipolicy_std_specs"):
        limits["std"] = typed(cast(Parameters, standard), SPEC_TYPES)
    if limits:
        changes["ipolicy"] = limits
    if not changes:
        raise CommandError("Please give at least one of the parameters.")
    opcode: Opcode = {**changes, "force": call.options[FORCE]}
    submit_or_run(call, call.opcode("OP_CLUSTER_SET_PARAMS", opcode))
    return exit_codes.SUCCESS


COMMANDS = (Command("modify", run_modify, (), OPTIONS),)
