"""What the command line does on this machine itself, since no daemon can do it yet.

See :mod:`gantry.runtime.local_action` for the form of these functions.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

from gantry.protocols.join import LIFETIME_SECONDS
from gantry.runtime.environment import Environment
from gantry.runtime.founding import found_cluster
from gantry.runtime.installation import DEVELOPMENT, SYSTEMD
from gantry.runtime.joining import issue_token
from gantry.runtime.joining import join_cluster as join
from gantry.runtime.local_action import SUCCESS, run_to_end, say
from gantry.runtime.membership import forget_cluster
from gantry.runtime.real import real_environment
from gantry.runtime.stopping import stop_daemon
from gantry.runtime.takeover import look, take_over
from gantry.security.pem_files import SERVER_PEM

NODE_DAEMONS: Final = ("gantry-noded", "gantry-rconfd", "gantry-mond")
MASTER_DAEMONS: Final = ("gantry-wconfd", "gantry-forkserver", "gantry-luxid", "gantry-rapid")
STOP_ORDER: Final = tuple(reversed((*NODE_DAEMONS, *MASTER_DAEMONS)))

DESTROY_ROUNDS: Final = 5


def init_cluster(arguments: dict[str, object]) -> int:
    """Make this machine the master of a new cluster."""
    env = real_environment()
    configuration = run_to_end(partial(found_cluster, env, arguments))
    name = configuration.cluster.cluster_name
    say(f"The cluster {name} is made; {env.node} is its master.")
    _advise(env, "gantry-master.target", (*NODE_DAEMONS, *MASTER_DAEMONS))
    return SUCCESS


def show_takeover(arguments: dict[str, object]) -> int:
    """Say what taking a cluster over would do; nothing is changed."""
    env = real_environment()
    found = run_to_end(partial(look, env, Path(str(arguments["config_data"])).absolute()))
    for line in found.lines(env.paths.data):
        say(line)
    return SUCCESS


def take_over_cluster(arguments: dict[str, object]) -> int:
    """Make this machine, the master of a Ganeti cluster, the master of the same cluster here."""
    env = real_environment()
    found = run_to_end(partial(take_over, env, Path(str(arguments["config_data"])).absolute()))
    configuration = found.configuration
    say(f"The cluster {configuration.cluster.cluster_name} is taken over; {env.node} is master.")
    _advise(env, "gantry-master.target", (*NODE_DAEMONS, *MASTER_DAEMONS))
    others = sorted(node.name for node in configuration.nodes.values() if node.name != env.node)
    if others:
        say("Then, for each other node: gantry token NODE here, and gantry join TOKEN there:")
        say("  " + " ".join(others))
        say("Changes wait until a majority of the master candidates has joined.")
    return SUCCESS


def issue_join_token(arguments: dict[str, object]) -> int:
    """Print a token with which a machine may join."""
    env = real_environment()
    node, seconds = str(arguments["node_name"]), arguments.get("lifetime_seconds")
    lifetime = float(seconds) if isinstance(seconds, int | float) else LIFETIME_SECONDS
    invitation = run_to_end(partial(issue_token, env, node.lower(), lifetime))
    say(invitation.text)
    return SUCCESS


def join_cluster(arguments: dict[str, object]) -> int:
    """Make this machine a node of the cluster that issued a token."""
    env = _environment_of(arguments.get("node_name"))
    address = arguments.get("primary_ip")
    given = None if address is None else str(address)
    joined = run_to_end(partial(join, env, str(arguments["token"]), given))
    say(f"{joined.node} has joined the cluster {joined.cluster_name}.")
    _advise(env, "gantry-node.target", NODE_DAEMONS)
    if DEVELOPMENT not in env.variables and not joined.known:
        say(f"Then, on the master: gnt-node add {joined.node}")
    return SUCCESS


def destroy_cluster(arguments: dict[str, object]) -> int:
    """Remove the cluster from its last node, after the job that allowed it."""
    env = real_environment()
    run_to_end(partial(_destroy, env))
    say("The cluster is destroyed.")
    return SUCCESS


async def _destroy(env: Environment) -> None:
    """Stop the daemons of this node, and remove what made it a node.

    A service manager may start a daemon again while we are at it. Without credentials it ends by
    itself; what it had time to write is removed in the next round.
    """
    for _ in range(DESTROY_ROUNDS):
        await env.files.remove(env.paths.data / SERVER_PEM)
        stopped = [await stop_daemon(env, program) for program in STOP_ORDER]
        await forget_cluster(env.files, env.paths)
        if not any(stopped):
            return


def _environment_of(node: object) -> Environment:
    """Return the machine's environment, under another name than the host's if it has one."""
    variables = dict(os.environ)
    if node is not None:
        variables["GANTRY_NODE"] = str(node).lower()
    return real_environment(variables)


def _advise(env: Environment, target: str, programs: tuple[str, ...]) -> None:
    """Say how the daemons are started here."""
    if DEVELOPMENT in env.variables:
        return
    if SYSTEMD.exists() and env.paths.root == Path("/"):
        say(f"Start its daemons with: systemctl enable --now {target}")
    else:
        say("Start its daemons, each as a service of its own: " + ", ".join(programs))
