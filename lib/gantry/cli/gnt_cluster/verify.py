"""``gnt-cluster verify``: a job that starts further jobs, whose results are verdicts.

``verify-config``, which Ganeti does not have, runs one of them alone.
"""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.command import Command
from gantry.cli.errors import CommandError, PeerMisuse, server_failure
from gantry.cli.invocation import Invocation
from gantry.cli.jobs import run_opcode, wait_for_all
from gantry.cli.option_values import choice
from gantry.cli.options import Option, flag, values
from gantry.cli.standard_options import DRY_RUN, NODE_GROUP, PRIORITY

CLUSTER_CODES = """
    ECLUSTERCERT ECLUSTERCFG ECLUSTERCLIENTCERT ECLUSTERDANGLINGINST ECLUSTERDANGLINGNODES
    ECLUSTERFILECHECK EEXTAGS EGROUPDIFFERENTPVSIZE
"""
INSTANCE_CODES = """
    EINSTANCEBADNODE EINSTANCEDOWN EINSTANCEFAULTYDISK EINSTANCELAYOUT EINSTANCEMISSINGCFGPARAMETER
    EINSTANCEMISSINGDISK EINSTANCEPOLICY EINSTANCESPLITGROUPS EINSTANCEUNSUITABLENODE
    EINSTANCEWRONGNODE
"""
NODE_CODES = """
    ENODEDRBD ENODEDRBDHELPER ENODEDRBDVERSION ENODEFILECHECK ENODEFILESTORAGEPATHS
    ENODEFILESTORAGEPATHUNUSABLE ENODEGLUSTERSTORAGEPATHUNUSABLE ENODEHOOKS ENODEHV ENODELVM ENODEN1
    ENODENET ENODEOOBPATH ENODEORPHANINSTANCE ENODEORPHANLV ENODEOS ENODERPC ENODESETUP
    ENODESHAREDFILESTORAGEPATHUNUSABLE ENODESSH ENODETIME ENODEUSERSCRIPTS ENODEVERSION
"""
CODES = choice(*CLUSTER_CODES.split(), *INSTANCE_CODES.split(), *NODE_CODES.split())

VERBOSE = flag("-v --verbose", "verbose", "say more of what is checked")
SIMULATE_ERRORS = flag("--debug-simulate-errors", "simulate_errors", "let every check fail")
ERROR_CODES = flag("--error-codes", "error_codes", "print findings in a form for programs")
NO_MEMORY_CHECK = flag("--no-nplus1-mem", "skip_nplusone_mem", "do not check for spare memory")
IGNORE_ERRORS = values(
    "-I --ignore-errors", "ignore_errors", CODES, "findings that are only warnings", "CODE"
)
VERIFY_CLUTTER = flag("--verify-ssh-clutter", "verify_clutter", "look for old SSH keys, too")

OPTIONS: tuple[Option[object], ...] = (
    VERBOSE,
    SIMULATE_ERRORS,
    ERROR_CODES,
    NO_MEMORY_CHECK,
    DRY_RUN,
    PRIORITY,
    NODE_GROUP,
    IGNORE_ERRORS,
    VERIFY_CLUTTER,
)

CONFIG_OPTIONS: tuple[Option[object], ...] = (
    VERBOSE,
    SIMULATE_ERRORS,
    ERROR_CODES,
    PRIORITY,
    IGNORE_ERRORS,
)


def run_verify(call: Invocation) -> int:
    """Check the cluster; the exit code says whether all is well."""
    options = call.options
    opcode = call.opcode(
        "OP_CLUSTER_VERIFY",
        {
            "verbose": options[VERBOSE],
            "error_codes": options[ERROR_CODES],
            "debug_simulate_errors": options[SIMULATE_ERRORS],
            "skip_checks": ["nplusone_mem"] if options[NO_MEMORY_CHECK] else [],
            "ignore_errors": options[IGNORE_ERRORS],
            "group_name": options[NODE_GROUP],
            "verify_clutter": options[VERIFY_CLUTTER],
        },
    )
    outcomes = wait_for_all(call, [("", job) for job in child_jobs(run_opcode(call, opcode))])
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed:
        call.say(f"{failed} job(s) failed while verifying the cluster.")
    good = all(outcome.results[:1] == [True] for outcome in outcomes)
    return exit_codes.SUCCESS if good else exit_codes.FAILURE


def child_jobs(result: object) -> list[int | CommandError]:
    """Return the jobs that an opcode has started, from its result."""
    jobs: list[int | CommandError] = []
    match result:
        case {"jobs": [*entries]}:
            pass
        case None:
            # A dry run starts no jobs.
            entries = []
        case other:
            raise PeerMisuse(f"started jobs {other!r}")
    for entry in entries:
        match entry:
            case [True, int() as job]:
                jobs.append(job)
            case [False, reason]:
                jobs.append(server_failure(reason))
            case other:
                raise PeerMisuse(f"a started job {other!r}")
    return jobs


def run_verify_config(call: Invocation) -> int:
    """Check every object of the configuration against every rule, and say what breaks one."""
    options = call.options
    opcode = call.opcode(
        "OP_CLUSTER_VERIFY_CONFIG",
        {
            "verbose": options[VERBOSE],
            "error_codes": options[ERROR_CODES],
            "debug_simulate_errors": options[SIMULATE_ERRORS],
            "ignore_errors": options[IGNORE_ERRORS],
        },
    )
    return exit_codes.SUCCESS if run_opcode(call, opcode) is True else exit_codes.FAILURE


COMMANDS = (
    Command("verify", run_verify, (), OPTIONS),
    Command("verify-config", run_verify_config, (), CONFIG_OPTIONS),
)
