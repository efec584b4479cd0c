"""What the command line asks of this node's cluster without LuxiD: ConfD, and the export.

See :mod:`gantry.runtime.local_action` for the form of these functions.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Final

import trio

from gantry.core.config.export import exported
from gantry.core.config.folding import end_of_file, fold
from gantry.protocols.codec import Json, from_bytes
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.rconfd import DetailedQuery, Query, RequestType, Status
from gantry.protocols.records import decode_log
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD
from gantry.runtime.confd_client import Answer, ask_cluster
from gantry.runtime.environment import Environment
from gantry.runtime.local_action import SUCCESS, run_to_end
from gantry.runtime.real import real_environment
from gantry.runtime.rpc import connect

CONFIG_JOURNAL: Final = "config.log"

FAILURE: Final = 1


def query_names() -> tuple[str, ...]:
    """Return what can be asked of ConfD, as it is written on the command line."""
    return tuple(each.name.lower().replace("_", "-") for each in RequestType)


def parse_query(type_: RequestType, argument: str | None) -> Query:
    """Return a query for what was given on the command line.

    Raises:
        ValueError: the request needs an argument.
    """
    if type_ is RequestType.NODE_IP_BY_INSTANCE_IP:
        if argument is None:
            raise ValueError("say which IP address the instance has")
        return DetailedQuery(ip=argument)
    needs = (
        RequestType.NODE_ROLE,
        RequestType.NODE_DRBD,
        RequestType.NODE_INSTANCES,
        RequestType.INSTANCE_DISKS,
    )
    if type_ in needs and argument is None:
        raise ValueError("say which node or instance is meant")
    return (argument or "/") if type_ is RequestType.CONFIG_VALUE else argument


def ask_confd(arguments: dict[str, object]) -> int:
    """Ask the master candidates, and print the newest answer as JSON."""
    name, argument = str(arguments["query"]), arguments.get("argument")
    if name not in query_names():
        raise ValueError(f"there is no query {name}; there are: {', '.join(query_names())}")
    type_ = RequestType[name.upper().replace("-", "_")]
    query = parse_query(type_, None if argument is None else str(argument))
    answer = trio.run(partial(_ask, real_environment(), type_, query))
    _print(answer.reply.answer)
    if not answer.consistent:
        raise ValueError("the candidates disagree, although they are equally new")
    return SUCCESS if answer.reply.status is Status.OK else FAILURE


async def _ask(env: Environment, type_: RequestType, query: Query) -> Answer:
    try:
        return await ask_cluster(env, type_, query)
    except ConnectionLost as error:
        raise OSError(str(error)) from error


def export_configuration(arguments: dict[str, object]) -> int:
    """Print the configuration in Ganeti's form.

    Without WConfD it is what this node's files hold: the last state, once the daemons are stopped.
    """
    configuration = run_to_end(partial(read_configuration, real_environment()))
    _print(exported(configuration))
    return SUCCESS


async def read_configuration(env: Environment) -> dict[str, Json]:
    """Return the value of ``config.data`` as of now: from WConfD, or else from this node's files.

    Raises:
        OSError: neither is here.
    """
    try:
        return await _snapshot(env)
    except OSError as error:
        if not await env.files.exists(env.paths.config):
            raise OSError(str(error)) from error
        return await _of_files(env)


async def _of_files(env: Environment) -> dict[str, Json]:
    """Return what the snapshot and the journal of this node hold."""
    value = from_bytes(await env.files.read(env.paths.config))
    if not isinstance(value, dict):
        raise ValueError(f"{env.paths.config} is damaged")
    path = env.paths.data / CONFIG_JOURNAL
    if not await env.files.exists(path):
        return value
    log = decode_log(await env.files.read(path), str(path))
    known = end_of_file(value).index
    return fold(value, [record for record in log.records if record.index > known])


async def _snapshot(env: Environment) -> dict[str, Json]:
    try:
        async with connect(WCONFD, env.network, env.paths.socket(SOCKET_NAME)) as wconfd:
            return dict((await wconfd.snapshot()).configuration)
    except ConnectionLost as error:
        raise OSError(f"{error}; run this on the master") from error


def _print(value: Json) -> None:
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))  # noqa: T201 - the answer
