"""The configuration as WConfD tells it: held whole in memory, followed change by change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar, assert_never

import attrs
import trio
from attrs import define, field

from gantry.core.config.claims import Ref
from gantry.core.config.state import load_stored, with_object, without_object
from gantry.core.query.view import View
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import ConnectionLost, ServiceError
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.objects.configuration import Configuration, load_configuration
from gantry.protocols.records import ORIGIN, Index
from gantry.protocols.wconfd import (
    SOCKET_NAME,
    WCONFD,
    Delta,
    Deltas,
    LivingJob,
    ObjectGone,
    ObjectPut,
    Snapshot,
    WConfD,
)
from gantry.runtime.collecting import collecting_later
from gantry.runtime.comeback import Comeback
from gantry.runtime.environment import Environment
from gantry.runtime.gate import Gate
from gantry.runtime.logs import Log
from gantry.runtime.nursery import open_plain_nursery
from gantry.runtime.rpc import connect

T = TypeVar("T")

LOG: Final = Log("luxid.mirror")


def followed(configuration: Configuration, delta: Delta) -> Configuration:
    """Return the configuration after a committed change.

    Raises:
        Malformed: the delta holds an object of an unknown form.
    """
    for change in delta.objects:
        match change:
            case ObjectPut(kind, _, value):
                configuration = with_object(configuration, load_stored(kind, value))
            case ObjectGone(kind, uuid):
                configuration = without_object(configuration, Ref(kind, uuid))
            case _:
                assert_never(change)
    return attrs.evolve(configuration, serial_no=delta.serial_no, mtime=delta.mtime)


@define
class Mirror:
    """A lasting subscription to WConfD's changes; :meth:`run` keeps it up."""

    env: Environment
    living: Callable[[], tuple[LivingJob, ...]]
    """Gives the unfinished jobs; WConfD keeps what these hold and frees the rest."""
    changed: Callable[[View], None]
    """Called with every new state of the configuration; must not wait."""
    view: View | None = field(default=None, init=False)
    """``None`` until WConfD has told it for the first time."""
    index: Index = field(default=ORIGIN.index, init=False)
    """The last record that is in the view."""
    epoch: Epoch | None = field(default=None, init=False)
    alone_since: Index | None = field(default=None, init=False)
    """Since which record WConfD goes on alone, without the only other voter."""
    _voters: frozenset[NodeUuid] | None = field(default=None, init=False)
    """With whom the queue's stream has settled."""
    _voters_news: trio.Event = field(factory=trio.Event, init=False)
    _remote: WConfD | None = field(default=None, init=False)
    _named: Gate = field(factory=Gate, init=False)
    _moved: trio.Event = field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Follow the configuration until cancelled."""
        path = self.env.paths.socket(SOCKET_NAME)
        async with Comeback.of(self.env.files, path) as comeback:
            while True:
                try:
                    async with connect(WCONFD, self.env.network, path) as remote:
                        await self._follow(remote)
                except ConnectionLost as error:
                    LOG.debug("not connected", reason=str(error))
                except (Malformed, ServiceError) as error:
                    LOG.error("the configuration can not be followed", reason=str(error))
                finally:
                    if self._named.is_open:
                        comeback.connected()
                    self._remote = None
                    self._named.close()
                await comeback.wait()

    async def named(self) -> Epoch:
        """Wait until WConfD knows all unfinished jobs; no job may be begun before.

        Otherwise a naming under way could free what a job that was begun meanwhile holds.
        """
        while self.epoch is None or not self._named.is_open:
            await self._named.passed()
        return self.epoch

    async def ask(self, question: Callable[[WConfD], Awaitable[T]]) -> T:
        """Call WConfD on the subscription's connection.

        Raises:
            ConnectionLost: it is away.
        """
        if self._remote is None:
            raise ConnectionLost("WConfD does not answer")
        return await question(self._remote)

    async def reached(self, index: Index) -> None:
        """Wait until a committed record is in the view."""
        while self.index < index:
            await self._moved.wait()

    async def _follow(self, remote: WConfD) -> None:
        snapshot = await remote.snapshot()
        await self._take(snapshot)
        await remote.name_jobs(snapshot.epoch, self.living())
        self._remote = remote
        self._named.open()
        async with open_plain_nursery() as nursery:
            nursery.start_soon(self._tell_voters, remote, snapshot.epoch)
            nursery.start_soon(self._hear_alone, remote)
            await self._follow_changes(remote, snapshot.index)

    async def _follow_changes(self, remote: WConfD, index: Index) -> None:
        while True:
            news = await remote.deltas(index)
            index = await self._take_news(news, index)

    def settle(self, voters: frozenset[NodeUuid]) -> None:
        """Let WConfD know with whom the queue's stream has settled, also after it was away."""
        if voters != self._voters:
            self._voters = voters
            self._voters_news.set()
            self._voters_news = trio.Event()

    async def _tell_voters(self, remote: WConfD, epoch: Epoch) -> None:
        with suppress(ConnectionLost):  # who follows the changes notices too
            while True:
                news, voters = self._voters_news, self._voters
                if voters is not None:
                    await remote.follow_voters(epoch, tuple(sorted(voters)))
                await news.wait()

    async def _hear_alone(self, remote: WConfD) -> None:
        self.alone_since = None
        with suppress(ConnectionLost):
            while True:
                self.alone_since = await remote.alone(self.alone_since)

    async def _take_news(self, news: Deltas | Snapshot, index: Index) -> Index:
        match news:
            case Snapshot():
                await self._take(news)
                return news.index
            case Deltas(deltas):
                view = self.view
                if view is None or not deltas:
                    return index
                configuration, changed = view.configuration, set[Ref]()
                for delta in deltas:
                    configuration = followed(configuration, delta)
                    changed.update(Ref(each.of, each.uuid) for each in delta.objects)
                self._show(view.followed(configuration, changed), deltas[-1].index)
                return deltas[-1].index
        assert_never(news)

    async def _take(self, snapshot: Snapshot) -> None:
        view = await self.env.offload(lambda: _viewed(snapshot))
        self.epoch = snapshot.epoch
        self._show(view, snapshot.index)

    def _show(self, view: View, index: Index) -> None:
        self.view, self.index = view, index
        self.changed(view)
        self._moved.set()
        self._moved = trio.Event()


def _viewed(snapshot: Snapshot) -> View:
    """Return a configuration with what takes long to find out found out already."""
    with collecting_later():
        view = View(load_configuration(snapshot.configuration))
        view.directory  # noqa: B018 - makes it now
    return view
