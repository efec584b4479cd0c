"""A real WConfD that is killed again and again while many clients change the configuration.

Each client owns an instance, and every change of it raises that instance's serial number by one: so
the number says how many of the client's changes are there, and whether one was made twice. What
was in flight when WConfD died is asked for again under its key. LuxiD's part (naming the living
jobs) is played here.
"""

from __future__ import annotations

import copy
import json
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import trio
from attrs import define, field

from gantry.protocols.changes import ChangeTags
from gantry.protocols.codec import digest_of, dump
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import Attempt, Epoch, InstanceUuid, JobId, Key, Ticket
from gantry.protocols.locks import LockName, LockOwner, LockRequest, lock_name
from gantry.protocols.wconfd import (
    SOCKET_NAME,
    WCONFD,
    Committed,
    LivingJob,
    Selection,
    WConfD,
)
from gantry.runtime.environment import Environment
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.real import real_environment
from gantry.runtime.rpc import connect

SAMPLE: Final = Path(__file__).parents[1] / "facts" / "samples" / "config.data"
MASTER: Final = "node1.gnt.test"

CLIENTS: Final = 8
CHANGES_MAX: Final = 60
"""So many are acknowledged at most before the next kill: several flushes and rewrites."""

MOMENT_SECONDS: Final = 0.004
"""How long after that the kill comes at most: about what a change takes."""

START_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.02

CUT_OFF: Final = "unfinished record cut off"


@define
class Client:
    """One client, its instance, and what WConfD has told it."""

    number: int
    instance: InstanceUuid
    serial_no: int
    """What the instance's must be: one more for each acknowledged change."""
    steps: int = field(default=0, init=False)
    in_flight: tuple[Ticket, ChangeTags] | None = field(default=None, init=False)
    locks: set[LockName] = field(factory=set, init=False)
    """What it was granted."""

    @property
    def owner(self) -> LockOwner:
        """Its job."""
        return LockOwner(JobId(100 + self.number), Attempt(1))

    async def change_once(self, wconfd: WConfD, epoch: Epoch) -> None:
        """Add a tag to the instance, or remove it again."""
        self.steps += 1
        tags, none = frozenset({f"client{self.number}"}), frozenset[str]()
        adds = self.steps % 2 == 1
        change = ChangeTags(
            "instance", self.instance, add=tags if adds else none, remove=none if adds else tags
        )
        key = Key(self.owner.job, 0, self.steps)
        ticket = Ticket(key, self.owner.attempt, epoch, digest_of(dump(change)))
        self.in_flight = ticket, change
        await self.finish(wconfd)

    async def finish(self, wconfd: WConfD) -> None:
        """Make the change that is in flight, or find it made."""
        if self.in_flight is None:
            return
        answer = await wconfd.commit(*self.in_flight)
        assert isinstance(answer, Committed), answer
        self.in_flight = None
        self.serial_no += 1

    async def lock_one_more(self, wconfd: WConfD) -> None:
        """Take a lock that nobody else wants; it is kept to the end."""
        name = lock_name("instance", f"client{self.number}-{len(self.locks):06}")
        await wconfd.lock(self.owner, (LockRequest(name, "exclusive"),), 0)
        self.locks.add(name)


@define
class UnderFire:
    """A node with WConfD. Made by :func:`prepared`."""

    root: Path
    env: Environment
    clients: list[Client]
    random: random.Random
    kills: int = field(default=0, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)
    found_made: int = field(default=0, init=False)
    """Changes in flight that had been made when WConfD died."""
    found_unmade: int = field(default=0, init=False)

    @property
    def acknowledged(self) -> int:
        """How many changes were acknowledged in all."""
        return sum(client.steps - (client.in_flight is not None) for client in self.clients)

    @property
    def torn(self) -> int:
        """How many unfinished records were found and cut off."""
        return self.env.paths.logs.joinpath("wconf-daemon.log").read_text().count(CUT_OFF)

    def fire(self, kills: int) -> None:
        """Kill WConfD so many times; what was acknowledged is there after each, and once.

        Raises:
            AssertionError: it is not.
        """
        for _ in range(kills):
            with self._daemon() as process:
                trio.run(self._until_killed, process)
            self.kills += 1
        with self._daemon():
            trio.run(self._checked)

    @contextmanager
    def _daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        program = Path(sys.executable).with_name("gantry-wconfd")
        variables = {**os.environ, **self.env.variables}
        variables.pop("NOTIFY_SOCKET", None)
        process = subprocess.Popen(
            [str(program)], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def _checked(self) -> None:
        async with self._connected() as wconfd:
            await self._check(wconfd)

    async def _until_killed(self, process: subprocess.Popen[bytes]) -> None:
        async with self._connected() as wconfd:
            epoch = await self._check(wconfd)
            async with open_plain_nursery() as nursery:
                for client in self.clients:
                    nursery.start_soon(self._work, client, epoch)
                nursery.start_soon(self._rewrite)
                await self._acknowledged(self.acknowledged + self.random.randint(0, CHANGES_MAX))
                await trio.sleep(self.random.uniform(0, MOMENT_SECONDS))
                process.send_signal(signal.SIGKILL)

    async def _acknowledged(self, count: int) -> None:
        with trio.fail_after(START_SECONDS):
            while self.acknowledged < count:
                await self._news.wait()

    async def _work(self, client: Client, epoch: Epoch) -> None:
        try:
            async with self._connection() as wconfd:
                await client.lock_one_more(wconfd)
                while True:
                    await client.change_once(wconfd, epoch)
                    self._news.set()
                    self._news = trio.Event()
        except ConnectionLost:
            return

    async def _rewrite(self) -> None:
        """Have ``config.data`` rewritten all the time, so that kills meet that, too."""
        try:
            async with self._connection() as wconfd:
                while True:
                    await wconfd.flush()
        except ConnectionLost:
            return

    async def _check(self, wconfd: WConfD) -> Epoch:
        """Play LuxiD, ask again for what was in flight, and compare."""
        epoch = (await wconfd.status()).epoch
        held = {(state.name, job) for state in await wconfd.locks() for job in state.owners}
        await wconfd.name_jobs(epoch, tuple(LivingJob(each.owner) for each in self.clients))
        for client in self.clients:
            assert {(name, client.owner.job) for name in client.locks} <= held
            if client.in_flight is not None:
                outcome = await wconfd.outcome(client.in_flight[0].key)
                self.found_made += isinstance(outcome, Committed)
                self.found_unmade += not isinstance(outcome, Committed)
            await client.finish(wconfd)
        part = await wconfd.read(Selection(instances="all"))
        found = {each.uuid: each.serial_no for each in part.instances.values()}
        for client in self.clients:
            assert found[client.instance] == client.serial_no, client
        broken = await wconfd.verify()
        assert broken == (), broken
        return epoch

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[WConfD]:
        """Connect as soon as WConfD is there."""
        with trio.move_on_after(START_SECONDS):
            while True:
                try:
                    async with self._connection() as wconfd:
                        await wconfd.status()
                        break
                except ConnectionLost:
                    await trio.sleep(LOOK_SECONDS)
        async with self._connection() as wconfd:
            yield wconfd

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[WConfD]:
        path = self.env.paths.socket(SOCKET_NAME)
        async with connect(WCONFD, self.env.network, path) as wconfd:
            yield wconfd


def prepared(folder: Path, seed: int) -> UnderFire:
    """Make the files of a node that is a cluster of its own.

    Args:
        folder: for all files; its path must be short, for sockets.
        seed: of the moments of the kills.
    """
    root = folder / MASTER
    env = real_environment({"GANTRY_ROOT": str(root), "XDG_RUNTIME_DIR": str(folder)})
    for each in (env.paths.data, env.paths.logs, env.paths.run / "socket", env.paths.sockets):
        each.mkdir(parents=True)
    document: dict[str, Any] = json.loads(SAMPLE.read_bytes())
    for node in document["nodes"].values():
        if node["name"] != MASTER:
            node["master_candidate"] = False
            document["cluster"]["candidate_certs"].pop(node["uuid"], None)
    model = next(each for each in document["instances"].values() if not each["disks"])
    clients = []
    for number in range(CLIENTS):
        made = _instance(model, number)
        document["instances"][made["uuid"]] = made
        clients.append(Client(number, InstanceUuid(made["uuid"]), made["serial_no"]))
    env.paths.config.write_text(json.dumps(document))
    return UnderFire(root, env, clients, random.Random(seed))


def _instance(model: dict[str, Any], number: int) -> dict[str, Any]:
    made = copy.deepcopy(model)
    made["uuid"], made["name"] = str(uuid.uuid4()), f"client{number}.gnt.test"
    (nic,) = made["nics"]
    nic["uuid"], nic["mac"] = str(uuid.uuid4()), f"aa:00:00:00:01:{number:02x}"
    nic.pop("ip", None)
    nic.pop("network", None)
    return made
