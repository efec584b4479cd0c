"""A job process from its first instruction to its last; called in the fork server's child."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

import trio
from attrs import evolve

from gantry.daemons.job.packing import noting_codes, pack
from gantry.daemons.job.performer import ENDS_ATTEMPT
from gantry.daemons.job.process import JobServer
from gantry.daemons.job.rehearsal import FIRST_ROUNDS, ROUNDS, rehearsing
from gantry.daemons.job.work import Work, stay
from gantry.operations.registry import OPERATIONS, operation
from gantry.protocols import codec
from gantry.protocols.errors import OpExecError
from gantry.protocols.identity import NodeUuid, Ticket
from gantry.protocols.jobproc import JOB_PROCESS, Assignment, SpawnRequest
from gantry.protocols.noded import NODED
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.parsing import prepare_opcode
from gantry.protocols.parameters.filled import prepare_filling
from gantry.protocols.service import Hello, Service
from gantry.protocols.steps import Action, StepRecord
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD, Selection, WConfD
from gantry.runtime import logs
from gantry.runtime.environment import Environment
from gantry.runtime.files import RealFiles, in_place
from gantry.runtime.link import Link
from gantry.runtime.node_links import NodeLinks
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.real import real_environment
from gantry.runtime.rpc import serve
from gantry.runtime.tls import RealTls

ASSIGN_SECONDS_MAX: Final = 60.0
"""A process to which LuxiD hands no work in this time leaves; LuxiD makes another."""

SERVICES: Final[tuple[Service[Any], ...]] = (JOB_PROCESS, WCONFD, NODED)
"""What a job process speaks."""

LOG: Final = logs.Log("job")


def prepare() -> None:
    """Load what any job may need; called once, in the process that jobs are forked from.

    What is left out here every job pays for: converters are compiled at their first use, and
    modules of opcodes and operations are loaded by name. One that can not be loaded fails the
    jobs that need it, not those that do not. What can not be listed is rehearsed.
    """
    for op_id in OPERATIONS:
        try:
            operation(op_id)
            prepare_opcode(op_id)
        except ImportError as error:
            LOG.error("an operation can not be loaded", opcode=op_id, reason=str(error))
    methods = [m for service in SERVICES for m in service.methods.values()]
    for method in methods:
        method.prepare()
    errors = {error for method in methods for error in method.raises.values()}
    codec.prepare(Hello, SpawnRequest, StepRecord, Action, Ticket, *errors)
    prepare_filling()
    job_log()
    try:
        with rehearsing(environment()) as rehearsal:
            with noting_codes() as run_by_jobs:
                rehearsal.run(_on_descriptor, FIRST_ROUNDS)
            pack(run_by_jobs)
            rehearsal.run(_on_descriptor, ROUNDS)
    except Exception as error:  # noqa: BLE001 - without it jobs are slower, and that is all
        LOG.warning("no rehearsal", reason=repr(error))


@cache
def environment() -> Environment:
    """Return the world of all jobs of this node; it has no state, so one is made for all.

    A job's event loop has no work but the job's, which does not go on before a flush is over.
    """
    return evolve(
        real_environment(), files=RealFiles(in_place), tls=RealTls(in_place), offload=in_place
    )


@cache
def job_log() -> logging.Handler:
    """Return where all jobs log to; the file is opened by those that have something to say."""
    return logs.destination(environment().paths.logs / "jobs.log", opens_late=True)


def run(listener_fd: int, spawn: SpawnRequest) -> None:
    """Be a job process; blocking.

    Args:
        listener_fd: the job's socket, bound and listening; it is closed at the end.
        spawn: which job this is.
    """
    env = environment()
    logs.use(job_log(), debug=False)
    trio.run(_on_descriptor, env, listener_fd, spawn, _leave)


def _leave() -> None:
    """End the process: the kernel takes it apart in a tenth of the time that Python would need."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def _on_descriptor(
    env: Environment, listener_fd: int, spawn: SpawnRequest, leave: Callable[[], None] = stay
) -> None:
    listening = trio.socket.fromfd(listener_fd, socket.AF_UNIX, socket.SOCK_STREAM)
    await main(env, trio.SocketListener(listening), spawn, leave)


async def main(
    env: Environment,
    listener: trio.abc.Listener[trio.abc.Stream],
    spawn: SpawnRequest,
    leave: Callable[[], None] = stay,
) -> None:
    """Serve the job's socket and do its work; closes the listener.

    Args:
        env: the world.
        listener: the job's socket.
        spawn: which job this is.
        leave: called when the job is over, LuxiD knows it, and nothing is left to do.
    """
    server = JobServer(spawn.job)
    wconfd = Link(WCONFD, env.network, env.paths.socket(SOCKET_NAME))
    try:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(serve, JOB_PROCESS, server, listener)
            nursery.start_soon(wconfd.run)
            with trio.fail_after(ASSIGN_SECONDS_MAX):
                assignment = await server.next_assignment()
            try:
                await _work(env, assignment, server, wconfd, leave)
            except ENDS_ATTEMPT as error:
                LOG.warning(
                    "attempt ended", job=spawn.job, attempt=spawn.attempt, reason=str(error)
                )
                # While the socket still answers: a process whose socket refuses LuxiD kills.
                await say_farewell(env, spawn)
            nursery.cancel_scope.cancel()
    except trio.TooSlowError:
        LOG.warning("no assignment", job=spawn.job, attempt=spawn.attempt)


async def _work(
    env: Environment,
    assignment: Assignment,
    server: JobServer,
    wconfd: Link[WConfD],
    leave: Callable[[], None],
) -> None:
    """Do the work, and end what goes on beside it."""
    find = partial(find_node, wconfd)
    async with open_plain_nursery() as nursery:
        async with NodeLinks.opened(env, find) as nodes:
            await Work(env, assignment, server, wconfd, nodes, nursery).do(leave)
        nursery.cancel_scope.cancel()


async def say_farewell(env: Environment, spawn: SpawnRequest) -> None:
    """Note that this attempt leaves without having failed, also for a LuxiD that is away now."""
    try:
        await env.files.make_folder(env.paths.step_journals)
        await env.files.write(env.paths.farewell(spawn.job), str(spawn.attempt).encode())
    except OSError as error:
        LOG.warning("counts as a death", job=spawn.job, attempt=spawn.attempt, reason=str(error))


async def find_node(wconfd: Link[WConfD], uuid: NodeUuid) -> Node:
    """Look a node up in the configuration.

    Raises:
        OpExecError: there is no such node.
    """
    part = await wconfd.call(lambda w: w.read(Selection(nodes=(uuid,))))
    if uuid not in part.nodes:
        raise OpExecError(f"there is no node {uuid}")
    return part.nodes[uuid]
