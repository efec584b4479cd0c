"""What ``gnt-cluster verify`` wants to know of a node."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Final

import trio
from attrs import frozen

from gantry.daemons.noded.disks import Disks
from gantry.daemons.noded.guests import Guests
from gantry.drivers.network.taps import Taps
from gantry.protocols.noded import Check, CheckReport
from gantry.runtime.environment import Environment

REACH_SECONDS_MAX: Final = 5.0
"""Ganeti's time-out for connecting to a node."""

REACHING_MAX: Final = 20
"""Peers that are tried at the same time."""


@frozen
class Checking:
    """Compares the node with what it should be."""

    env: Environment
    guests: Guests
    disks: Disks
    tls: ssl.SSLContext
    """With which peers' NodeDs are reached."""
    port: int

    async def report(self, check: Check) -> CheckReport:
        """Look at everything that was asked for."""
        bridges = await Taps(self.env).bridges() if check.bridges else frozenset()
        return CheckReport(
            time=self.env.clock.now(),
            release=installed_version("gantry"),
            hypervisor_problems=await self.guests.problems(check.hypervisors),
            missing_bridges=tuple(name for name in check.bridges if name not in bridges),
            unreachable_peers=await self._unreachable(check.peers),
            missing_disks=tuple(
                [disk.uuid for disk in check.disks if not await self.disks.exists(disk)]
            ),
            instances=await self.guests.list(check.hypervisors),
            storage_problems=await self.disks.problems(),
        )

    async def _unreachable(self, peers: Mapping[str, str]) -> dict[str, str]:
        problems: dict[str, str] = {}
        room = trio.Semaphore(REACHING_MAX)

        async def reach(name: str, address: str) -> None:
            async with room:
                problem = await self._reach(address)
                if problem is not None:
                    problems[name] = problem

        async with trio.open_nursery() as nursery:
            for name, address in sorted(peers.items()):
                nursery.start_soon(reach, name, address)
        return problems

    async def _reach(self, address: str) -> str | None:
        """Connect to a peer's NodeD, certificates and all; say what went wrong."""
        try:
            with trio.fail_after(REACH_SECONDS_MAX):
                stream = await self.env.network.connect_tcp(address, self.port, self.tls)
        except trio.TooSlowError:
            return f"{address}:{self.port} did not answer within {REACH_SECONDS_MAX:g} seconds"
        except (OSError, trio.BrokenResourceError) as error:
            return f"{address}:{self.port} can not be reached: {error.__cause__ or error}"
        await trio.aclose_forcefully(stream)
        return None
