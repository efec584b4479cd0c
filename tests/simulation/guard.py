"""What is looked at again and again meanwhile: what must not be even for a moment."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import trio
from tests.simulation.cluster import Cluster, Gone
from tests.simulation.confd import place_of
from tests.simulation.people import NO_ANSWER

from gantry.protocols.codec import Json
from gantry.protocols.locks import LockState
from gantry.protocols.luxi import Luxi
from gantry.protocols.wconfd import SOCKET_NAME, WCONFD
from gantry.runtime.environment import Environment
from gantry.runtime.rpc import connect

LOOK_SECONDS: Final = 3.0


SHARING: Final = frozenset({"OP_INSTANCE_CONSOLE", "OP_INSTANCE_QUERY_DATA"})
"""Opcodes of instances that leave them as they are."""


async def watch(cluster: Cluster) -> None:
    """Look at the locks and at the running jobs from time to time, until cancelled."""
    while True:
        await trio.sleep(LOOK_SECONDS)
        try:
            await _check_confd(cluster)
            _check_locks(cluster, await _locks(cluster))
            _check_jobs(cluster, await cluster.luxi(_jobs))
        except (*NO_ANSWER, Gone):
            continue


async def _check_confd(cluster: Cluster) -> None:
    """Say whether an RConfD answers from records that do not count (yet).

    What it answers from was committed before; so the master, asked later, is at least as far.
    """
    places = {}
    for name, node in cluster.nodes.items():
        if node.services.process("rconfd") is not None:
            with suppress(*NO_ANSWER, Gone):
                places[name] = await place_of(cluster, name)
    committed = await _committed(cluster)
    if committed is None:
        return
    epoch, index = committed
    for name, place in places.items():
        # Of another epoch a new master may know already of whom people do not know yet.
        if place is not None and place.epoch == epoch and place.index > index:
            cluster.fail(f"RConfD of {name} answers from {place}, committed is {epoch}, {index}")


async def _committed(cluster: Cluster) -> tuple[int, int] | None:
    """Return what the master's WConfD knows to count; ``None``: it has not been told so far.

    One that was started again has to hear from a majority first what of its journal counts.
    """
    found: list[tuple[int, int]] = []

    async def ask(env: Environment) -> None:
        async with connect(WCONFD, env.network, env.paths.socket(SOCKET_NAME)) as wconfd:
            status = await wconfd.status()
            if status.confirmed:
                found.append((status.epoch, status.index))

    await cluster.command(cluster.master, "check", ask)
    return found[0] if found else None


async def _jobs(luxi: Luxi) -> object:
    """Ask for the jobs that are at work, however many are over."""
    at_work: Json = ["=[]", "opstatus", "running"]
    return await luxi.query("job", ("id", "opstatus", "ops", "opsteps"), at_work)


def _check_jobs(cluster: Cluster, answer: object) -> None:
    """Say which two jobs change one instance at once: an opcode does once it has its plan.

    It runs once it has its locks; but if its process dies before there is a plan, the next one
    takes them anew, and the opcode goes on running by its status.
    """
    assert isinstance(answer, dict)
    at_work: dict[str, int] = {}
    for row in answer["data"]:
        job, statuses, ops, plans = (value for _, value in row)
        for status, op, plan in zip(statuses, ops, plans, strict=True):
            name = op.get("instance_name")
            if status != "running" or not plan or name is None or op["OP_ID"] in SHARING:
                continue
            other = at_work.setdefault(name, job)
            if other != job:
                cluster.fail(f"jobs {other} and {job} change {name} at once")


async def _locks(cluster: Cluster) -> tuple[LockState, ...]:
    found: list[tuple[LockState, ...]] = []

    async def ask(env: Environment) -> None:
        async with connect(WCONFD, env.network, env.paths.socket(SOCKET_NAME)) as wconfd:
            found.append(await wconfd.locks())

    await cluster.command(cluster.master, "check", ask)
    return found[0]


def _check_locks(cluster: Cluster, locks: tuple[LockState, ...]) -> None:
    """Say which exclusive locks have two owners, their own level's lock set included."""
    holders = {lock.name: lock.owners for lock in locks if lock.owners}
    for lock in locks:
        if lock.mode != "exclusive" or not lock.owners:
            continue
        level = lock.name.partition("/")[0]
        others = {
            owner
            for name, owners in holders.items()
            for owner in owners
            if name == lock.name
            or (lock.name == f"{level}/[lockset]" and name.startswith(f"{level}/"))
        }
        if len(others) > 1:
            cluster.fail(f"lock {lock.name} is exclusive and held by {sorted(others)}")
