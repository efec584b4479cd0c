"""What must never be seen, not even in the middle of a disaster."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

import orjson
import trio
from attrs import define, field, frozen
from tests.chaos.processes import is_job
from tests.chaos.view import told_by_wconfd
from tests.cluster.development import DevCluster
from tests.crash.jobs import paths_of

from gantry.cli.devcluster.found import processes_of
from gantry.protocols.errors import GantryError

PAUSE_SECONDS: Final = 1.0
"""Between two looks."""

AGAIN_SECONDS: Final = 0.5
"""What is still so after that was not just about to change: a process that has been forked calls
itself as its parent does until it becomes a program."""


class NeverToBeSeen(AssertionError):
    """Something that must never be."""


@frozen
class Running:
    """An instance of the fake hypervisor that runs."""

    node: str
    name: str
    started_at: float


@define
class Onlooker:
    """Looks at the cluster while it breaks."""

    cluster: DevCluster
    looks: int = field(default=0, init=False)

    def look(self) -> None:
        """Look once, and rest.

        Raises:
            NeverToBeSeen: what must not be.
        """
        self.exclusive_locks_have_one_owner()
        self.no_job_has_two_processes()
        self.no_instance_runs_twice()
        self.looks += 1
        time.sleep(PAUSE_SECONDS)  # the onlooker's own time

    def exclusive_locks_have_one_owner(self) -> None:
        """Look at the lock table of whoever leads; it may not answer just now."""
        try:
            _, _, locks = trio.run(told_by_wconfd, paths_of(self.cluster))
        except (GantryError, OSError, trio.TooSlowError):
            return
        for lock in locks:
            if lock.mode == "exclusive" and len(lock.owners) > 1:
                raise NeverToBeSeen(f"lock {lock.name} is exclusive and held by {lock.owners}")

    def no_job_has_two_processes(self) -> None:
        """Look for two processes of one job on one node."""
        if twice := self._twice():
            time.sleep(AGAIN_SECONDS)  # processes of others have no event here
            if still := twice & self._twice():
                raise NeverToBeSeen(f"jobs have two processes: {sorted(still)}")

    def _twice(self) -> set[tuple[str, str]]:
        found = processes_of(self.cluster.folder)
        jobs = Counter((p.root, p.command) for p in found if is_job(p))
        return {job for job, count in jobs.items() if count > 1}

    def no_instance_runs_twice(self) -> None:
        """Look for an instance of the fake hypervisor that runs on two nodes at one moment.

        That two files say so is not enough, since they are not read at one moment: the first must
        still say so, of the same start, after the second was read. (QEMU's processes lock their
        images and so keep each other from running.)
        """
        first, second, third = self._running(), self._running(), self._running()
        for one in first & third:
            for other in second:
                if other.name == one.name and other.node != one.node:
                    raise NeverToBeSeen(f"{one.name} runs on {one.node} and on {other.node}")

    def _running(self) -> set[Running]:
        found: set[Running] = set()
        for node in self.cluster.layout.nodes:
            for path in (paths_of(self.cluster, node.name).run / "fake-hypervisor").glob("*"):
                try:
                    said = orjson.loads(path.read_bytes())
                except (FileNotFoundError, orjson.JSONDecodeError):
                    continue  # it has just been stopped
                if said["state"] == "running":
                    found.add(Running(node.name, path.name, said["started_at"]))
        return found
