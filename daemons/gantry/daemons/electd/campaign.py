"""The election daemon's loop: look, decide, act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, assert_never

import trio
from attrs import define, field

from gantry.core import election
from gantry.core.election import Campaign, Keep, ReplicaSeen, Resign, Seen, Standing, Take, Wait
from gantry.daemons.electd.etcd import EtcdFailed
from gantry.protocols.errors import GantryError
from gantry.runtime.logs import Log

LOOKS_PER_LEASE: Final = 5
"""So many are missed in a row before a living master would lose its office."""

LOG: Final = Log("electd")


class OfficeOfMaster(Protocol):
    """The key in the store; see :class:`gantry.daemons.electd.etcd.Office`."""

    async def holder(self) -> str | None:
        """Return who holds it."""

    async def take(self) -> bool:
        """Take it if it is vacant."""

    async def keep(self) -> bool:
        """Keep it."""

    async def resign(self) -> None:
        """Give it back."""


class Here(Protocol):
    """This node; see :class:`gantry.daemons.electd.node.OwnNode`."""

    async def is_master(self) -> bool:
        """Whether it is to lead."""

    async def is_candidate(self) -> bool:
        """Whether it may be promoted."""

    async def leads(self) -> bool:
        """Whether it leads."""

    async def replica(self) -> ReplicaSeen | None:
        """What NodeD knows of a master."""


@define
class Elections:
    """Takes part in elections while :meth:`run` runs."""

    office: OfficeOfMaster
    here: Here
    promote: Callable[[], Awaitable[None]]
    """Makes this node the master; raises ValueError, OSError or GantryError if it can not be."""
    standing: Standing
    look_seconds: float
    _said: str | None = field(default=None, init=False)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self._look()
            except EtcdFailed as error:
                # Nobody knows who holds the office: the master goes on by its own lease.
                self._say(f"etcd does not answer, so nobody is elected: {error}", LOG.warning)
                self.standing = Standing(self.standing.me, led_at=self.standing.led_at)
            await trio.sleep(self.look_seconds)

    async def _look(self) -> None:
        seen = Seen(
            holder=await self.office.holder(),
            is_candidate=await self.here.is_candidate(),
            is_master=await self.here.is_master(),
            leads=await self.here.leads(),
            replica=await self.here.replica(),
        )
        self.standing, action = election.decide(self.standing, seen, trio.current_time())
        self._say(election.describe(action))
        match action:
            case Wait():
                pass
            case Take():
                await self.office.take()
            case Campaign():
                await self._campaign()
            case Keep():
                await self.office.keep()
            case Resign():
                await self.office.resign()
            case _:
                assert_never(action)

    async def _campaign(self) -> None:
        if not await self.office.take():
            return
        promoted = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_on)
            try:
                await self.promote()
                promoted = True
            except (GantryError, ValueError, OSError) as error:
                LOG.error("not promoted", reason=str(error))
            nursery.cancel_scope.cancel()
        now = trio.current_time()
        self.standing = election.after_promotion(self.standing, now, promoted=promoted)
        if promoted:
            LOG.info("this node is the master now")
        else:
            await self.office.resign()

    async def _keep_on(self) -> None:
        """Keep the office while the promotion waits for the end of the old master's lease."""
        while True:
            try:
                await self.office.keep()
            except EtcdFailed as error:
                LOG.warning("the office may be lost", reason=str(error))
            await trio.sleep(self.look_seconds)

    def _say(self, text: str | None, log: Callable[[str], None] = LOG.info) -> None:
        """Log what is new."""
        if text is not None and text != self._said:
            log(text)
        self._said = text
