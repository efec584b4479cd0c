"""``gnt-cluster master-failover`` and ``--force-quorum``, apart from other actions.

They load little: a cluster without a master waits for them.
"""

from __future__ import annotations

from functools import partial

from gantry.runtime.failover import fail_over, force_quorum
from gantry.runtime.local_action import SUCCESS, run_to_end, say
from gantry.runtime.real import real_environment


def master_failover(arguments: dict[str, object]) -> int:
    """Make this machine the master of its cluster."""
    env = real_environment()
    run_to_end(partial(fail_over, env, say, forced=bool(arguments.get("no_voting"))))
    say(f"{env.node} is the master now.")
    return SUCCESS


def force_offline(arguments: dict[str, object]) -> int:
    """Let the master go on without voters that are gone."""
    env = real_environment()
    run_to_end(partial(force_quorum, env, say, str(arguments["node_name"]).lower()))
    say(f"{env.node} leads without those that do not answer.")
    return SUCCESS
