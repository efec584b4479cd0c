"""``gnt-instance add``: what is typed becomes one ``OP_INSTANCE_CREATE``."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import submit_or_run
from gantry.cli.luxi import Opcode
from gantry.cli.option_values import BOOLEAN, IDENTIFIED, INTEGER, SIZE, TEXT, Identified, choice
from gantry.cli.options import Option, Options, flag, negative_flag, value, values
from gantry.cli.parameter_types import BACKEND_TYPES, HYPERVISOR_TYPES, NIC_TYPES, typed
from gantry.cli.standard_options import (
    BACKEND,
    DRY_RUN,
    IALLOCATOR,
    IGNORE_POLICY,
    NO_ADDRESS_CHECK,
    NO_NAME_CHECK,
    NODE_GROUP,
    NODE_PLACEMENT,
    OS_PARAMETERS,
    OS_PRIVATE,
    OS_SECRET,
    PRIORITY,
    SUBMISSION,
)

DISKLESS = "diskless"
DISK_TEMPLATES = (
    *("ext", DISKLESS, "drbd", "gluster", "sharedfile", "rbd", "blockdev", "plain", "file"),
)
DISKS_MAX = 16
NICS_MAX = 8

DISKS = values("--disk", "disks", IDENTIFIED, "a disk, as N:size=SIZE[,key=value...]")
TEMPLATE = value(
    "-t --disk-template", "disk_template", choice(*DISK_TEMPLATES), "kind of disks", "TEMPL"
)
FILE_DIRECTORY = value(
    "--file-storage-dir", "file_storage_dir", TEXT, "directory of file disks, relative", "<DIR>"
)
FILE_DRIVER = value(
    "--file-driver", "file_driver", choice("loop", "blktap", "blktap2"), "driver", "<DRIVER>"
)
HYPERVISOR = value(
    "-H --hypervisor-parameters", "hypervisor", IDENTIFIED, "hypervisor, as NAME[:key=value,...]"
)
NICS = values("--net", "nics", IDENTIFIED, "a network card, as N[:key=value,...]")
NO_CONFLICTS_CHECK = negative_flag(
    "--no-conflicts-check", "conflicts_check", "do not check addresses against networks"
)
NO_NICS = flag("--no-nics", "no_nics", "make no network card")
NO_WAIT_FOR_SYNC = negative_flag(
    "--no-wait-for-sync", "wait_for_sync", "do not wait until disks are mirrored"
)
OS_SIZE = value("-s --os-size", "sd_size", SIZE, "size of the only disk", "<size>")
OPPORTUNISTIC = flag(
    "--opportunistic-locking", "opportunistic_locking", "consider only nodes free right now"
)
TAGS = value("--tags", "tags", TEXT, "comma list of tags")
FORTHCOMING = flag("--forthcoming", "forthcoming", "only reserve the resources")
COMMIT = flag("--commit", "commit", "make a forthcoming instance real")
NO_START = negative_flag("--no-start", "start", "do not start it")
OS_TYPE = value("-o --os-type", "os", TEXT, "operating system definition", "<os>")
FORCE_VARIANT = flag("--force-variant", "force_variant", "take a variant that is not declared")
NO_INSTALL = flag("--no-install", "no_install", "do not install an operating system")
COMMUNICATION = value(
    "-c --communication", "instance_communication", BOOLEAN, "metadata network for the guest"
)
STARTUP_TIMEOUT = value(
    "--helper-startup-timeout", "helper_startup_timeout", INTEGER, "seconds for the helper to start"
)
HELPER_SHUTDOWN_TIMEOUT = value(
    "--helper-shutdown-timeout", "helper_shutdown_timeout", INTEGER, "seconds for it to end"
)

OPTIONS: tuple[Option[object], ...] = (
    BACKEND,
    DISKS,
    TEMPLATE,
    FILE_DIRECTORY,
    FILE_DRIVER,
    HYPERVISOR,
    IALLOCATOR,
    NICS,
    NODE_PLACEMENT,
    NODE_GROUP,
    NO_ADDRESS_CHECK,
    NO_CONFLICTS_CHECK,
    NO_NAME_CHECK,
    NO_NICS,
    NO_WAIT_FOR_SYNC,
    OS_PARAMETERS,
    OS_PRIVATE,
    OS_SECRET,
    OS_SIZE,
    OPPORTUNISTIC,
    *SUBMISSION,
    TAGS,
    DRY_RUN,
    PRIORITY,
    FORTHCOMING,
    COMMIT,
    NO_START,
    OS_TYPE,
    FORCE_VARIANT,
    NO_INSTALL,
    IGNORE_POLICY,
    COMMUNICATION,
    STARTUP_TIMEOUT,
    HELPER_SHUTDOWN_TIMEOUT,
)


def run_add(call: Invocation) -> int:
    """Create an instance."""
    parameters = creation(call.arguments[0], call.options)
    submit_or_run(call, call.opcode("OP_INSTANCE_CREATE", parameters))
    return exit_codes.SUCCESS


def creation(name: str, options: Options) -> Opcode:
    """Return the parameters of ``OP_INSTANCE_CREATE``.

    Raises:
        CommandError: options contradict each other or are incomplete.
    """
    primary, secondary = split_placement(options[NODE_PLACEMENT])
    hypervisor, hypervisor_parameters = _hypervisor(options[HYPERVISOR])
    tags = options[TAGS]
    return {
        "instance_name": name,
        "mode": "create",
        "disks": _disks(options),
        "disk_template": options[TEMPLATE],
        "group_name": options[NODE_GROUP],
        "opportunistic_locking": options[OPPORTUNISTIC],
        "nics": _nics(options),
        "conflicts_check": options[NO_CONFLICTS_CHECK],
        "pnode": primary,
        "snode": secondary,
        "ip_check": options[NO_ADDRESS_CHECK],
        "name_check": options[NO_NAME_CHECK],
        "wait_for_sync": options[NO_WAIT_FOR_SYNC],
        "file_storage_dir": options[FILE_DIRECTORY],
        "file_driver": options[FILE_DRIVER],
        "iallocator": options[IALLOCATOR],
        "hypervisor": hypervisor,
        "hvparams": hypervisor_parameters,
        "beparams": typed(options[BACKEND], BACKEND_TYPES),
        "osparams": options[OS_PARAMETERS],
        "osparams_private": options[OS_PRIVATE],
        "osparams_secret": options[OS_SECRET],
        "start": options[NO_START],
        "os_type": options[OS_TYPE],
        "force_variant": options[FORCE_VARIANT],
        "no_install": options[NO_INSTALL],
        "forthcoming": options[FORTHCOMING],
        "commit": options[COMMIT],
        "tags": tags.split(",") if tags else [],
        "ignore_ipolicy": options[IGNORE_POLICY],
        "instance_communication": bool(options[COMMUNICATION]),
        "helper_startup_timeout": options[STARTUP_TIMEOUT],
        "helper_shutdown_timeout": options[HELPER_SHUTDOWN_TIMEOUT],
    }


def split_placement(text: str | None) -> tuple[str | None, str | None]:
    """Split ``primary[:secondary]``."""
    if not text:
        return None, None
    primary, _, secondary = text.partition(":")
    return primary or None, secondary or None


def _hypervisor(choice_made: Identified | None) -> tuple[str | None, Opcode]:
    if choice_made is None:
        return None, {}
    if not isinstance(choice_made.parameters, dict):
        raise CommandError(f"Failure: -H needs a hypervisor's name, not '{choice_made.ident}'")
    return choice_made.ident, typed(choice_made.parameters, HYPERVISOR_TYPES)


def _nics(options: Options) -> list[Opcode]:
    if options[NO_NICS]:
        if options[NICS]:
            raise CommandError("Failure: --net and --no-nics contradict each other")
        return []
    if not options[NICS]:
        return [{}]
    cards = _by_index("network card", options[NICS], NICS_MAX)
    return [typed(card, NIC_TYPES) for card in cards]


def _disks(options: Options) -> list[Opcode]:
    given, size = options[DISKS], options[OS_SIZE]
    if options[TEMPLATE] == DISKLESS:
        if given or size is not None:
            raise CommandError("Failure: a diskless instance has no disks; leave out --disk and -s")
        return []
    if size is not None:
        if given:
            raise CommandError("Failure: give either -s or --disk, not both")
        return [{"size": size}]
    if not given:
        raise CommandError("Failure: no disk was described; use -s SIZE, --disk or -t diskless")
    return [_disk(at, disk) for at, disk in enumerate(_by_index("disk", given, DISKS_MAX))]


def _disk(index: int, given: Opcode) -> Opcode:
    if "size" in given and "adopt" in given:
        raise CommandError(f"Failure: disk {index} is adopted, so it has its size already")
    if "size" not in given and "adopt" not in given:
        raise CommandError(f"Failure: disk {index} needs size=SIZE or adopt=VOLUME")
    disk = typed(given, {"size": "size", "spindles": "int", "name": "maybe-string"})
    disk.setdefault("size", 0)
    return disk


def _by_index(noun: str, given: Sequence[Identified], most: int) -> list[Opcode]:
    """Put ``N:...`` values in order; an index that was left out has no parameters."""
    found: dict[int, Opcode] = {}
    for ident, parameters in given:
        if not ident.isascii() or not ident.isdigit() or int(ident) >= most:
            raise CommandError(
                f"Failure: '{ident}' is no {noun}'s index; there are 0 to {most - 1}"
            )
        if not isinstance(parameters, dict):
            raise CommandError(f"Failure: {noun} {ident} needs parameters as key=value")
        if int(ident) in found:
            raise CommandError(f"Failure: {noun} {ident} was described twice")
        found[int(ident)] = parameters
    return [found.get(index, {}) for index in range(max(found) + 1)]


COMMANDS = (
    Command(
        "add",
        run_add,
        (Arguments("host", 1, 1),),
        OPTIONS,
        notes="Sizes are numbers with m, g or t behind, in MiB without.\n"
        "Example: gnt-instance add -t file -s 1G -o busybox -n node1 -B maxmem=256m web1",
    ),
)
