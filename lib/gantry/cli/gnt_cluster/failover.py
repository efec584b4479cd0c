"""``gnt-cluster master-failover``."""

from __future__ import annotations

from gantry.cli import bootstrap, terminal
from gantry.cli.command import Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.option_values import TEXT
from gantry.cli.options import Option, flag, value_or

NO_VOTING = flag("--no-voting", "no_voting", "go on without a majority; changes may be lost")

YES_DO_IT = flag("--yes-do-it", "yes_do_it", "do not ask whether you mean it")

FAILOVER_OPTIONS: tuple[Option[object], ...] = (
    NO_VOTING,
    YES_DO_IT,
    value_or(
        "--ignore-offline-nodes",
        "ignore_offline_nodes",
        TEXT,
        True,  # noqa: FBT003 - Ganeti's own default, whatever it means for a text
        "accepted for Ganeti's sake: offline nodes never vote",
        "yes|no",
    ),
)

WITHOUT_VOTING = (
    "Without voting, changes that only the missing master candidates have are lost, and if the "
    "old master still runs there are two. Do you want to go on?"
)


def run_master_failover(call: Invocation) -> int:
    """Make this node the master."""
    forced = bool(call.options[NO_VOTING])
    if forced and not call.options[YES_DO_IT] and not terminal.confirm(WITHOUT_VOTING):
        raise CommandError("Nothing was done; give --yes-do-it if you really mean it")
    call.close()
    return bootstrap.promote("master_failover", {"no_voting": forced})


COMMANDS = (
    Command(
        "master-failover",
        run_master_failover,
        (),
        FAILOVER_OPTIONS,
        notes="Given on the master candidate that is to become the master.",
    ),
)
