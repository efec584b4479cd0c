"""What lies between machines in memory: addresses, delays, and links that are cut one way.

A message on a cut link is not lost but late, as TCP would send it again; a datagram is lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import trio
from attrs import define, field


@define(eq=False)
class Station:
    """A machine as the network sees it."""

    name: str
    address: str
    is_up: bool = True


Delay = Callable[[Station, Station], float]
"""How many seconds a message takes from one station to another."""

Loses = Callable[[Station, Station], bool]
"""Whether a datagram gets lost."""


def no_delay(_from: Station, _to: Station) -> float:
    """Be as fast as one can."""
    return 0.0


def loses_nothing(_from: Station, _to: Station) -> bool:
    """Be as reliable as one can."""
    return False


@define(eq=False)
class Wires:
    """The network between all machines."""

    delay: Delay = no_delay
    loses: Loses = loses_nothing
    stations: dict[str, Station] = field(factory=dict, init=False)
    """By address."""
    names: dict[str, str] = field(factory=dict, init=False)
    """The address of each name."""
    _cut: set[tuple[str, str]] = field(factory=set, init=False)
    _changed: trio.Event = field(factory=trio.Event, init=False)
    _numbers: Iterator[int] = field(factory=itertools.count, init=False)

    def add(self, name: str, address: str) -> Station:
        """Plug a machine in."""
        station = Station(name, address)
        self.stations[address] = station
        self.names[name] = address
        return station

    def name(self, name: str, address: str) -> None:
        """Give an address one more name."""
        self.names[name] = address

    def number(self) -> int:
        """Return a number that no other connection has."""
        return next(self._numbers)

    def cut(self, source: Station, target: Station) -> None:
        """Let nothing through from one machine to another."""
        self._cut.add((source.name, target.name))

    def mend(self, source: Station, target: Station) -> None:
        """Take a cut back; what waited arrives."""
        self._cut.discard((source.name, target.name))
        self.tell()

    def tell(self) -> None:
        """Wake whoever waits for the network to change."""
        self._changed.set()
        self._changed = trio.Event()

    async def change(self) -> None:
        """Wait until something about the network has changed."""
        await self._changed.wait()

    def carries(self, source: Station, target: Station) -> bool:
        """Whether a message gets from one machine to another now."""
        if not (source.is_up and target.is_up):
            return False
        return source is target or (source.name, target.name) not in self._cut

    def seconds(self, source: Station, target: Station) -> float:
        """Draw how long a message takes."""
        return 0.0 if source is target else self.delay(source, target)
