"""What acts on this machine instead of on LuxiD: making, joining and leaving a cluster.

Only these commands load the heavy libraries, and only when they are given.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Literal, cast

from gantry.cli import exit_codes
from gantry.cli.errors import CommandError

LocalAction = Literal[
    "init_cluster",
    "issue_join_token",
    "join_cluster",
    "show_takeover",
    "take_over_cluster",
    "destroy_cluster",
]
Promoting = Literal["master_failover", "force_offline"]
LocalLook = Literal["ask_confd", "export_configuration"]


def act(action: LocalAction, arguments: dict[str, object]) -> int:
    """Do something on this machine, and return the exit code.

    Raises:
        CommandError: it failed; the text says why.
    """
    return _call("gantry.runtime.bootstrap", action, arguments)


def promote(action: Promoting, arguments: dict[str, object]) -> int:
    """Begin a new reign on this machine, and return the exit code.

    Raises:
        CommandError: it failed; the text says why.
    """
    return _call("gantry.runtime.promoting", action, arguments)


def look(what: LocalLook, arguments: dict[str, object]) -> int:
    """Look at this node's cluster without LuxiD, and return the exit code.

    Raises:
        CommandError: it failed; the text says why.
    """
    return _call("gantry.runtime.looking", what, arguments)


def _call(module_name: str, name: str, arguments: dict[str, object]) -> int:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise CommandError(
            f"This machine lacks a part that nodes need ({error.name}); install the whole of Gantry"
        ) from error
    function = cast("Callable[[dict[str, object]], int]", getattr(module, name))
    try:
        return function(arguments)
    except (OSError, ValueError) as error:
        raise CommandError(f"Failure: {error}", exit_codes.FAILURE) from error
