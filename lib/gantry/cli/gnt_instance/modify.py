"""``gnt-instance modify``."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import BOOLEAN, IDENTIFIED, SIZE, TEXT, Identified, choice
from gantry.cli.options import Option, Options, flag, negative_flag, parameters, value, values
from gantry.cli.parameter_types import (
    BACKEND_TYPES,
    HYPERVISOR_TYPES,
    NIC_TYPES,
    ParameterType,
    typed,
)
from gantry.cli.standard_options import (
    BACKEND,
    DRY_RUN,
    FORCE,
    IALLOCATOR,
    IGNORE_POLICY,
    OS_PARAMETERS,
    OS_PRIVATE,
    PRIORITY,
    SUBMISSION,
)

HYPERVISOR_PARAMETERS = parameters(
    "-H --hypervisor-parameters", "hvparams", "hypervisor parameters"
)
NICS = values("--net", "nics", IDENTIFIED, "network cards, as N:key=value, add or N:remove")
DISKS = values("--disk", "disks", IDENTIFIED, "disks, as N:key=value, add or N:remove")
TEMPLATE = value(
    "-t --disk-template",
    "disk_template",
    choice(
        *("blockdev", "diskless", "drbd", "ext", "file"), *("gluster", "plain", "rbd", "sharedfile")
    ),
    "disk template to change to",
    "TEMPL",
)
NODE = value("-n --node", "node", TEXT, "secondary node, for drbd", "<node>")
OS_TYPE = value("-o --os-type", "os", TEXT, "OS definition that it has", "<os>")
FORCE_VARIANT = flag("--force-variant", "force_variant", "take a variant that is not listed")
NO_WAIT = negative_flag("--no-wait-for-sync", "wait_for_sync", "do not wait for mirrors")
OFFLINE = flag("--offline", "offline_inst", "mark a stopped one as not there at all")
ONLINE = flag("--online", "online_inst", "mark it as stopped again")
MEMORY = value("-m --runtime-memory", "runtime_mem", SIZE, "memory to have now", "<size>")
NO_CONFLICTS = negative_flag(
    "--no-conflicts-check", "conflicts_check", "take addresses that networks have for others"
)
PRIMARY = value(
    "--new-primary", "new_primary_node", TEXT, "where it is now, after a move by hand", "<node>"
)
HOTPLUG = flag("--hotplug", "hotplug", "change the running instance too")
HOTPLUG_IF_POSSIBLE = flag(
    "--hotplug-if-possible", "hotplug_if_possible", "the same, if it can be done"
)
COMMUNICATION = value(
    "-c --communication", "instance_communication", BOOLEAN, "a network card for talking to it"
)
EXTERNAL = parameters("-e --ext-params", "ext_params", "parameters of external storage")
FILE_DRIVER = value(
    "--file-driver",
    "file_driver",
    choice("loop", "blktap", "blktap2"),
    "driver of file disks",
    "<DRIVER>",
)
FILE_FOLDER = value("--file-storage-dir", "file_storage_dir", TEXT, "folder of disks", "<DIR>")

OPTIONS: tuple[Option[object], ...] = (
    BACKEND, DISKS, FORCE, HYPERVISOR_PARAMETERS, NICS, *SUBMISSION, TEMPLATE, NODE, IALLOCATOR,
    OS_TYPE, FORCE_VARIANT, OS_PARAMETERS, OS_PRIVATE, DRY_RUN, PRIORITY, NO_WAIT, OFFLINE,
    ONLINE, IGNORE_POLICY, MEMORY, NO_CONFLICTS, PRIMARY, HOTPLUG, HOTPLUG_IF_POSSIBLE,
    COMMUNICATION, EXTERNAL, FILE_DRIVER, FILE_FOLDER,
)  # fmt: skip

DISK_TYPES: dict[str, ParameterType] = {"size": "size", "spindles": "int", "name": "maybe-string"}
VERBS = ("add", "attach", "detach", "modify", "remove")


def run_modify(call: Invocation) -> int:
    """Change the parameters of an instance."""
    name, options = call.arguments[0], call.options
    changes = _changes(options)
    if not any(changes.values()) and changes["offline"] is None:
        raise CommandError("Please give at least one of the parameters.")
    opcode: Opcode = {
        "instance_name": name,
        **changes,
        "force": options[FORCE],
        "force_variant": options[FORCE_VARIANT],
        "ignore_ipolicy": options[IGNORE_POLICY],
        "wait_for_sync": options[NO_WAIT],
        "conflicts_check": options[NO_CONFLICTS],
        "hotplug": options[HOTPLUG],
        "hotplug_if_possible": options[HOTPLUG_IF_POSSIBLE],
        "remote_node": options[NODE],
        "iallocator": options[IALLOCATOR],
    }
    result = submit_or_run(call, call.opcode("OP_INSTANCE_SET_PARAMS", opcode))
    if isinstance(result, list) and result:
        call.say(f"Modified instance {name}")
        for parameter, new in result:
            call.say(f" - {parameter!s:<5} -> {new}")
        call.say("Most parameters count from the next start of the instance by this cluster.")
    return exit_codes.SUCCESS


def _changes(options: Options) -> Opcode:
    if options[OFFLINE] and options[ONLINE]:
        raise CommandError("Failure: give either --offline or --online, not both")
    offline = True if options[OFFLINE] else (False if options[ONLINE] else None)
    return {
        "beparams": typed(options[BACKEND], BACKEND_TYPES),
        "hvparams": typed(options[HYPERVISOR_PARAMETERS], HYPERVISOR_TYPES),
        "osparams": options[OS_PARAMETERS],
        "osparams_private": options[OS_PRIVATE] or None,
        "os_name": options[OS_TYPE],
        "offline": offline,
        "runtime_mem": options[MEMORY],
        "nics": [_device(each, NIC_TYPES) for each in options[NICS]],
        "disks": [_device(each, DISK_TYPES) for each in options[DISKS]],
        "disk_template": options[TEMPLATE],
        "pnode": options[PRIMARY],
        "instance_communication": options[COMMUNICATION],
        "ext_params": options[EXTERNAL],
        "file_driver": options[FILE_DRIVER],
        "file_storage_dir": options[FILE_FOLDER],
    }


def _device(given: Identified, types: dict[str, ParameterType]) -> list[object]:
    """Return verb, place and parameters of one ``--net`` or ``--disk``."""
    ident, content = given
    settings = dict(content) if isinstance(content, dict) else {}
    named = [verb for verb in VERBS if verb in settings]
    if ident in VERBS:
        return [ident, -1, typed(settings, types)]
    if len(named) > 1:
        raise CommandError(f"Failure: '{ident}' can not be changed in several ways at once")
    verb = named[0] if named else "modify"
    settings.pop(verb, None)
    place: object = int(ident) if ident.lstrip("-").isdigit() else ident
    return [verb, place, typed(settings, types)]


COMMANDS = (Command("modify", run_modify, (Arguments("instance", 1, 1),), OPTIONS),)
