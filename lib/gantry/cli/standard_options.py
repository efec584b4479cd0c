"""Options that many commands share, under Ganeti's names."""

from __future__ import annotations

from gantry.cli.option_values import (
    IDENTIFIED,
    INTEGER,
    KEY_VALUES,
    PRIVATE_KEY_VALUES,
    TEXT,
    choice,
)
from gantry.cli.options import Option, flag, negative_flag, parameters, value, value_or, values

DEFAULT_SHUTDOWN_SECONDS = 120

DEBUG: Option[int] = Option(
    "-d --debug",
    "debug",
    action="count",
    default=0,
    help="show tracebacks, and have the job log more; repeat for more",
)
REASON = value("--reason", "reason", TEXT, "why you do this; kept in the job's reason trail")
COMMON: tuple[Option[object], ...] = (DEBUG, REASON)
"""What every command takes."""

HELP = flag("-h --help", "help", "show this help")
FORCE = flag("-f --force", "force", "do not ask for confirmation")
FORCE_MULTIPLE = flag(
    "--force-multiple", "force_multi", "do not ask for confirmation when several are meant"
)
YES_DO_IT = flag("--yes-do-it --ya-rly", "yes_do_it", "confirm that you really mean it")

SUBMIT = flag("--submit", "submit_only", "submit the job and print its id; do not wait for it")
PRINT_JOB_ID = flag("--print-jobid", "print_jobid", "print the job's id before anything else")
DRY_RUN = flag("--dry-run", "dry_run", "check whether it could be done, and print the plan")
PRIORITY: Option[str | None] = Option(
    "--priority",
    "priority",
    action="callback",
    default=None,
    type=choice("low", "normal", "high"),
    help="priority of the job",
    metavar="low|normal|high",
)
PRIORITIES = {"low": 10, "normal": 0, "high": -10}
"""The numbers that stand for priorities in opcodes."""

SUBMISSION: tuple[Option[object], ...] = (SUBMIT, PRINT_JOB_ID)

NO_HEADERS = flag("--no-headers", "no_headers", "print no line with the columns' titles")
SEPARATOR = value("--separator", "separator", TEXT, "text between the columns, unpadded")
UNITS = value("--units", "units", choice("h", "m", "g", "t"), "unit of sizes; h chooses by itself")
OUTPUT = value(
    "-o --output", "output", TEXT, "comma list of fields; a leading + adds to the default", "FIELDS"
)
VERBOSE_FIELDS = flag("-v --verbose", "verbose", "say in words why a value is missing")
FORCE_FILTER = flag("-F --filter", "force_filter", "take the argument for a filter")
FORMAT = value_or(
    "--format",
    "format",
    choice("table", "json", "yaml"),
    "table",
    "form of the output; json and yaml are for programs (an addition to Ganeti's options)",
)

TAGS_SOURCE = value("--from", "tags_source", TEXT, "read tags from a file, one a line (- is stdin)")
NODE_GROUP = value("-g --node-group", "nodegroup", TEXT, "name of the node group", "<nodegroup>")
NODE_PLACEMENT = value(
    "-n --node", "node", TEXT, "primary node and, for drbd, secondary", "<pnode>[:<snode>]"
)
TARGET_NODE = value("-n --target-node", "dst_node", TEXT, "node to move it to", "NODE")
IALLOCATOR = value(
    "-I --iallocator", "iallocator", TEXT, "allocator that chooses the nodes", "<NAME>"
)
SHUTDOWN_TIMEOUT = value_or(
    "--shutdown-timeout",
    "shutdown_timeout",
    INTEGER,
    DEFAULT_SHUTDOWN_SECONDS,
    "seconds to wait for a clean shutdown",
)
IGNORE_POLICY = flag("--ignore-ipolicy", "ignore_ipolicy", "violate the instance policy")
SECONDARY_ADDRESS = value(
    "-s --secondary-ip", "secondary_ip", TEXT, "address in the replication network", "ADDRESS"
)
NODE_PARAMETERS = value("--node-parameters", "ndparams", KEY_VALUES, "parameters of nodes")
HYPERVISOR_STATE = values("--hypervisor-state", "hv_state", IDENTIFIED, "state of hypervisors")
DISK_STATE = values("--disk-state", "disk_state", IDENTIFIED, "state of storage")

BACKEND = parameters("-B --backend-parameters", "beparams", "memory, virtual processors and so on")
OS_PARAMETERS = parameters(
    "-O --os-parameters", "osparams", "parameters of the operating system definition"
)
OS_PRIVATE = parameters(
    "--os-parameters-private", "osparams_private", "the same, kept out of logs", PRIVATE_KEY_VALUES
)
OS_SECRET = parameters(
    "--os-parameters-secret", "osparams_secret", "the same, never on disk", PRIVATE_KEY_VALUES
)
NO_ADDRESS_CHECK = negative_flag(
    "--no-ip-check", "ip_check", "do not check that the address is free"
)
NO_NAME_CHECK = negative_flag("--no-name-check", "name_check", "do not resolve the name")
