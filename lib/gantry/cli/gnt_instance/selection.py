"""Which instances a command for several means: named ones, those of nodes, by tags, or all."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.cli.errors import CommandError, ServerFailure
from gantry.cli.invocation import Invocation
from gantry.cli.luxi import LuxiClient
from gantry.cli.options import Option, Options, one_of
from gantry.cli.query_filter import simple_condition
from gantry.cli.standard_options import FORCE_MULTIPLE
from gantry.cli.terminal import confirm

INSTANCES = "instances"
CLUSTER = "cluster"

BY_INSTANCE = one_of("--instance", "multi_mode", INSTANCES, "the arguments are instances")
BY_ALL = one_of("--all", "multi_mode", CLUSTER, "all instances of the cluster")
MODES: tuple[Option[str | None], ...] = (
    BY_INSTANCE,
    BY_ALL,
    one_of("--node", "multi_mode", "nodes", "the instances of these nodes"),
    one_of("--primary", "multi_mode", "nodes-pri", "those that have these as primary nodes"),
    one_of("--secondary", "multi_mode", "nodes-sec", "those that have these as secondary nodes"),
    one_of("--tags", "multi_mode", "instances-by-tags", "the instances with these tags"),
    one_of("--node-tags", "multi_mode", "nodes-by-tags", "those of nodes with these tags"),
    one_of("--pri-node-tags", "multi_mode", "nodes-pri-by-tags", "the same, primary nodes only"),
    one_of("--sec-node-tags", "multi_mode", "nodes-sec-by-tags", "the same, secondary nodes only"),
)

SELECTION_OPTIONS: tuple[Option[object], ...] = (FORCE_MULTIPLE, *MODES)

SIDES = {"nodes": ("pinst_list", "sinst_list"), "nodes-pri": ("pinst_list",)}
SIDES |= {"nodes-sec": ("sinst_list",)}


def select(call: Invocation, verb: str) -> list[str] | None:
    """Return the names of the instances that are meant, after asking if they are several.

    Returns:
        ``None`` if the user declined.

    Raises:
        CommandError: no instance is meant, or the arguments do not fit the options.
    """
    mode = _mode(call.options)
    names = expand(call.client, mode, call.arguments)
    if not names:
        raise ServerFailure(
            "OpPrereqError", ["Selection filter does not match any instances", "wrong_input"]
        )
    several = mode != INSTANCES or len(names) > 1
    if several and not call.options[FORCE_MULTIPLE]:
        listed = "\n".join(f"  {name}" for name in names)
        if not confirm(f"These {len(names)} instances will be affected:\n{listed}\n{verb}?"):
            return None
    return names


def _mode(options: Options) -> str:
    return options[BY_INSTANCE] or INSTANCES


def expand(client: LuxiClient, mode: str, arguments: Sequence[str]) -> list[str]:
    """Return the instances of a mode, without asking.

    Raises:
        CommandError: the arguments do not fit the mode, or one is not known.
    """
    if mode == CLUSTER:
        if arguments:
            raise CommandError("Failure: --all means every instance; leave out the names")
        return _names(client, None)
    if not arguments:
        raise CommandError("Failure: name at least one, or give --all")
    if mode == INSTANCES:
        return _names(client, simple_condition("name", arguments))
    by_tags = mode.endswith("-by-tags")
    condition = (
        ["|", *(["=[]", "tags", tag] for tag in arguments)]
        if by_tags
        else simple_condition("name", arguments)
    )
    side = mode.removesuffix("-by-tags")
    if side == INSTANCES:
        return _names(client, condition)
    found: dict[str, None] = {}
    for row in client.query("node", list(SIDES[side]), condition).rows:
        for _, content in row:
            found.update(dict.fromkeys(map(str, content) if isinstance(content, list) else ()))
    return list(found)


def _names(client: LuxiClient, condition: object) -> list[str]:
    answer = client.query("instance", ["name"], condition)
    return list(dict.fromkeys(str(row[0][1]) for row in answer.rows))
