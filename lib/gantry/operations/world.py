"""What an operation may look at while it decides: the world, behind one typed port.

Operations own no event loop and reach nothing by themselves. The job process hands in the real
world, tests hand in one of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from attrs import frozen

from gantry.core.query.cluster import QueueState, Release
from gantry.protocols.codec import Json
from gantry.protocols.identity import JobId, NodeUuid
from gantry.protocols.noded import NodeD
from gantry.protocols.objects.node import Node
from gantry.protocols.scripts.iallocator import Answer
from gantry.protocols.wconfd import ConfigPart, Invariant, Selection, Want

T = TypeVar("T")


@frozen
class NoAnswer:
    """A node did not answer, or could not do what it was asked; the text says why."""

    text: str


class World(Protocol):
    """The cluster, as the opcode of one job sees it. Reading only, but for reservations."""

    @property
    def job(self) -> JobId:
        """The job that asks."""

    async def read(self, selection: Selection) -> ConfigPart:
        """Return a part of the configuration, read at one moment."""

    async def ask(self, node: Node, question: Callable[[NodeD], Awaitable[T]]) -> T:
        """Call a reading method of a node's NodeD.

        Raises:
            OpPrereqError: the node does not answer, or refuses.
        """

    async def ask_all(
        self, nodes: Sequence[Node], question: Callable[[Node, NodeD], Awaitable[T]]
    ) -> Mapping[NodeUuid, T | NoAnswer]:
        """Call a reading method of several nodes at once, with one deadline for all."""

    async def reserve(self, *wants: Want) -> tuple[str, ...]:
        """Reserve values for the job, all or none.

        Raises:
            OpPrereqError: a value is taken; the text says by whom.
        """

    async def verify_configuration(self) -> tuple[Invariant, ...]:
        """Check the whole configuration."""

    async def queue_state(self) -> QueueState:
        """Return the two settings of the cluster that are not in its configuration."""

    def release(self) -> Release:
        """Say what this program is."""

    async def run_allocator(
        self, name: str, document: Mapping[str, Json], parameters: Mapping[str, Json]
    ) -> Answer:
        """Run an instance allocator on the master.

        Raises:
            OpPrereqError: there is no such allocator.
            OpExecError: it failed, or its answer can not be understood.
        """

    async def resolve(self, name: str) -> str:
        """Return the address of a host name.

        Raises:
            OpPrereqError: it does not resolve.
        """

    def say(self, *lines: str) -> None:
        """Add lines to the job's log."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch."""
