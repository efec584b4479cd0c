"""People who work while the cluster breaks, and know what must be there afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Protocol

from attrs import define, field
from tests.chaos.clients import Client, Ended
from tests.chaos.operators import Operator
from tests.chaos.remote import Remote, Request, request_for
from tests.chaos.wishes import Guests, Wish, Wishing
from tests.cluster.development import DevCluster
from typing_extensions import override

NOTHING_UNDONE = "nothing was undone"
MEDDLE_SECONDS_MAX = 0.6
"""After so long most jobs are somewhere in the middle, or wait for something."""

PRIORITIES = (-20, -10, 0, 10, 19)


class Worker(Protocol):
    """Somebody who does one thing after the other."""

    def work(self) -> None:
        """Do one thing and note what has become of it."""

    def close(self) -> None:
        """Leave."""


@define(eq=False)
class Person(Worker):
    """Works over LUXI, sometimes with second thoughts about a job."""

    wishing: Wishing
    client: Client
    ended: list[Ended] = field(factory=list)

    @override
    def close(self) -> None:
        self.client.close()

    @override
    def work(self) -> None:
        wishes = self.wishing.draw()
        job = self.client.submit(*(wish.opcode for wish in wishes))
        self._meddle(job)
        note(self.wishing, wishes, ended := self.client.wait(job))
        self.ended.append(ended)

    def _meddle(self, job: int) -> None:
        """Cancel a job, put it on or off, or leave it alone as most people do."""
        chance, random, client = self.wishing.random.random(), self.wishing.random, self.client
        if chance > 0.25:
            return
        time.sleep(random.uniform(0.0, MEDDLE_SECONDS_MAX))  # the person's own time
        if chance < 0.1:
            client.tell("CancelJob", job, False)
        elif chance < 0.15:
            client.tell("ChangeJobPriority", job, random.choice(PRIORITIES))
        else:
            client.tell("PauseJob", job)
            time.sleep(random.uniform(0.0, MEDDLE_SECONDS_MAX))  # here, too
            client.tell("ResumeJob", job)


@define(eq=False)
class RemotePerson(Worker):
    """Works over RAPI, which can not tell a submission that is repeated from a second one."""

    wishing: Wishing
    remote: Remote
    ended: list[Ended] = field(factory=list)

    @override
    def close(self) -> None:
        """Each request has a connection of its own."""

    @override
    def work(self) -> None:
        wish, request = self._draw()
        answer, again = self.remote.ask(request)
        ended = self.remote.wait(int(str(answer)))
        self.ended.append(ended)
        note(self.wishing, (wish,), ended)
        if again:
            self._doubt(wish)
        self.remote.ask(Request("GET", "/2/instances", {"bulk": "1"}))

    def _draw(self) -> tuple[Wish, Request]:
        while True:
            wishes = self.wishing.draw()
            request = request_for(wishes[0].opcode)
            if request is not None and len(wishes) == 1:
                return wishes[0], request

    def _doubt(self, wish: Wish) -> None:
        """An earlier try may have become a job, too, which may still come."""
        own, tags = self.wishing.own, wish.opcode.get("tags")
        if wish.instance is not None:
            own.doubt(wish.instance)
        elif isinstance(tags, list):
            own.unsure_tags.update(map(str, tags))
            own.cluster_tags.difference_update(map(str, tags))


def note(wishing: Wishing, wishes: tuple[Wish, ...], ended: Ended) -> None:
    """Note what a job has made of what was wanted."""
    for wish, status in zip(wishes, ended.op_statuses, strict=True):
        if status == "success":
            wish.then()
        elif wish.instance is not None and NOTHING_UNDONE in str(ended.results):
            wishing.own.doubt(wish.instance)


@define
class Crowd:
    """Several people at work. Made by :func:`working`."""

    cluster: DevCluster
    people: tuple[Person | RemotePerson, ...]
    operator: Operator
    problems: list[BaseException] = field(factory=list)
    _stopping: threading.Event = field(factory=threading.Event)

    @property
    def ended(self) -> list[Ended]:
        """All jobs so far; each was acknowledged."""
        workers = (*self.people, self.operator)
        return [ended for worker in workers for ended in worker.ended]

    @property
    def doubtful(self) -> int:
        """How many instances are somewhere in between."""
        instances = (each for p in self.people for each in p.wishing.own.instances.values())
        return sum(each.doubtful for each in instances)

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

    def until_stopped(self, work: Callable[[], object]) -> None:
        """Do something again and again, until told to stop or until it fails."""
        try:
            while not self._stopping.is_set():
                work()
        except BaseException as problem:  # noqa: BLE001 - the test's own thread raises it again
            self.problems.append(problem)
            self._stopping.set()

    def run(self, worker: Worker) -> None:
        """Have somebody work until told to stop."""
        try:
            self.until_stopped(worker.work)
        finally:
            worker.close()


@contextmanager
def working(
    cluster: DevCluster, random: Random, guests: Guests, count: int, look: Callable[[], object]
) -> Iterator[Crowd]:
    """Have people at work, and somebody who looks; at the end each has ended what they did."""
    nodes = tuple(node.short_name for node in cluster.layout.nodes)
    people: list[Person | RemotePerson] = []
    for number in range(count):
        wishing = Wishing(f"p{number}", number, Random(random.random()), nodes, guests)
        remote = number == 0
        people.append(
            RemotePerson(wishing, Remote(cluster)) if remote else Person(wishing, Client(cluster))
        )
    operator = Operator(Client(cluster), Random(random.random()), nodes)
    crowd = Crowd(cluster, tuple(people), operator)
    workers: tuple[Worker, ...] = (*people, operator)
    threads = [threading.Thread(target=crowd.run, args=[worker]) for worker in workers]
    threads.append(threading.Thread(target=crowd.until_stopped, args=[look]))
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        crowd.stop()
        for thread in threads:
            thread.join()
    crowd.check()
