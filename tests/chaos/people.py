"""People who work while the cluster breaks, and know what must be there afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Literal

from attrs import define, field
from tests.chaos.clients import Client
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Ended

from gantry.cli.luxi import Opcode

State = Literal["running", "stopped", "doubtful"]
"""``doubtful``: a job said that it could neither go on nor back; a person would look."""

INSTANCES_MAX = 4
"""Of one person: enough that jobs of several run at once, few enough that all are used."""

NOTHING_UNDONE = "nothing was undone"


@define
class Person:
    """Does one thing after the other to instances of their own."""

    name: str
    random: Random
    nodes: tuple[str, ...]
    instances: dict[str, State] = field(factory=dict)
    tags: set[str] = field(factory=set)
    ended: list[Ended] = field(factory=list)
    _count: int = 0

    def work(self, client: Client) -> None:
        """Do one thing and note what has become of it."""
        name, opcode = self._choose()
        ended = client.wait(client.submit(opcode))
        self.ended.append(ended)
        if ended.status == "success":
            self._succeeded(name, opcode)
        elif NOTHING_UNDONE in str(ended.results):
            self.instances[name] = "doubtful"

    def _choose(self) -> tuple[str, Opcode]:
        self._count += 1
        usable = [name for name, state in self.instances.items() if state != "doubtful"]
        if len(usable) < 2 or (len(usable) < INSTANCES_MAX and self.random.random() < 0.3):
            name = f"{self.name}-{self._count}"
            return name, op.add(name, self._node())
        name = self.random.choice(usable)
        running = self.instances[name] == "running"
        choices = [
            op.tag_cluster(f"{self.name}:{self._count}"),
            op.delay(self.random.uniform(0.0, 0.5), self._node()),
            op.remove(name),
            *([op.stop(name), op.migrate(name, self._node())] if running else [op.start(name)]) * 2,
        ]
        return name, self.random.choice(choices)

    def _node(self) -> str:
        return self.random.choice(self.nodes)

    def _succeeded(self, name: str, opcode: Opcode) -> None:
        match opcode:
            case {"OP_ID": "OP_INSTANCE_CREATE" | "OP_INSTANCE_STARTUP"}:
                self.instances[name] = "running"
            case {"OP_ID": "OP_INSTANCE_SHUTDOWN"}:
                self.instances[name] = "stopped"
            case {"OP_ID": "OP_INSTANCE_REMOVE"}:
                del self.instances[name]
            case {"OP_ID": "OP_TAGS_SET", "tags": list(tags)}:
                self.tags.update(map(str, tags))
            case _:
                pass  # a delay leaves nothing


@define
class Crowd:
    """Several people at work. Made by :func:`working`."""

    cluster: DevCluster
    people: tuple[Person, ...]
    problems: list[BaseException] = field(factory=list)
    _stopping: threading.Event = field(factory=threading.Event)

    @property
    def ended(self) -> list[Ended]:
        """All jobs so far; each was acknowledged."""
        return [ended for person in self.people for ended in person.ended]

    def wait(self, seconds: float) -> None:
        """Let them work for some time.

        Raises:
            BaseException: what went wrong with one of them.
        """
        self._stopping.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise what went wrong."""
        if self.problems:
            raise self.problems[0]

    def stop(self) -> None:
        """Let everybody end what they do."""
        self._stopping.set()

    def run(self, person: Person) -> None:
        """Have a person work until told to stop."""
        try:
            with Client.of(self.cluster) as client:
                while not self._stopping.is_set():
                    person.work(client)
        except BaseException as problem:  # noqa: BLE001 - the test's own thread raises it again
            self.problems.append(problem)
            self._stopping.set()


@contextmanager
def working(cluster: DevCluster, random: Random, count: int) -> Iterator[Crowd]:
    """Have people at work; at the end each has ended what they did."""
    nodes = tuple(node.short_name for node in cluster.layout.nodes)
    people = [Person(f"p{n}", Random(random.random()), nodes) for n in range(count)]
    crowd = Crowd(cluster, tuple(people))
    threads = [threading.Thread(target=crowd.run, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        crowd.stop()
        for thread in threads:
            thread.join()
    crowd.check()
