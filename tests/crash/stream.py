"""A steady stream of jobs: workers that make, change and remove things until told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Ended, Jobs

from gantry.cli.luxi import Opcode

PATIENCE_SECONDS = 60.0


@define
class Worker:
    """Does one thing after the other, and knows what must be there afterwards."""

    name: str
    node: str
    tags: set[str] = field(factory=set)
    instances: set[str] = field(factory=set)
    """Full names of what has to exist, running."""
    cluster_changes: int = 0
    """How often the cluster's serial number has to have moved."""

    def work(self, number: int) -> Iterator[Opcode]:
        """Give the jobs of one round; what one changes counts when the next is asked for."""
        instance, word = f"{self.name}-{number}", f"{self.name}:{number}"
        yield op.add(instance, self.node)
        self.instances.add(op.full(instance))
        self.cluster_changes += 1
        yield op.tag_cluster(word)
        self.tags.add(word)
        self.cluster_changes += 1
        yield op.stop(instance)
        yield op.delay(0.01, self.node)
        yield op.start(instance)
        if number % 2:
            yield op.remove(instance)
            self.instances.discard(op.full(instance))
            self.cluster_changes += 1


@define
class Stream:
    """Running workers and what they have seen. Made by :func:`streaming`."""

    cluster: DevCluster
    workers: tuple[Worker, ...]
    ended: list[Ended] = field(factory=list)
    problems: list[Exception] = field(factory=list)
    _changed: threading.Condition = field(factory=threading.Condition)
    _stopping: bool = False

    def run(self, worker: Worker) -> None:
        """Work until told to stop, to the end of a round."""
        try:
            with Jobs.of(self.cluster) as jobs:
                number = 0
                while not self._stopping:
                    number += 1
                    for opcode in worker.work(number):
                        self._note(jobs.succeed(opcode))
        except Exception as problem:  # noqa: BLE001 - the test's own thread raises it again
            self.problems.append(problem)
        finally:
            with self._changed:
                self._changed.notify_all()

    def _note(self, ended: Ended) -> None:
        with self._changed:
            self.ended.append(ended)
            self._changed.notify_all()

    def advance(self, jobs: int) -> None:
        """Wait until so many more jobs have ended well."""
        with self._changed:
            wanted = len(self.ended) + jobs
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(self.ended) < wanted and not self.problems:
                left = deadline - time.monotonic()
                assert self._changed.wait(left), f"no {jobs} jobs in {PATIENCE_SECONDS:g} s"
        self.check()

    def stop(self) -> None:
        """Let the workers end their rounds."""
        self._stopping = True

    def check(self) -> None:
        """Raise what went wrong in a worker."""
        if self.problems:
            raise self.problems[0]

    @property
    def instances(self) -> set[str]:
        """What must exist."""
        return {each for worker in self.workers for each in worker.instances}

    @property
    def cluster_changes(self) -> int:
        """How often the cluster's serial number must have moved: each change counts once."""
        return sum(worker.cluster_changes for worker in self.workers)

    @property
    def tags(self) -> set[str]:
        """The tags that the cluster must have."""
        return {each for worker in self.workers for each in worker.tags}


@contextmanager
def streaming(cluster: DevCluster) -> Iterator[Stream]:
    """Run one worker for each node; at the end all have ended their rounds."""
    nodes = [node.short_name for node in cluster.layout.nodes]
    stream = Stream(cluster, tuple(Worker(f"w{number}", n) for number, n in enumerate(nodes)))
    threads = [threading.Thread(target=stream.run, args=[each]) for each in stream.workers]
    for thread in threads:
        thread.start()
    try:
        yield stream
    finally:
        stream.stop()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    stream.check()
