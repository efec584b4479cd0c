"""A client that finds its jobs whoever is the master: what a patient person's script would do."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from attrs import define, field, frozen
from tests.cluster.development import DevCluster
from tests.crash.jobs import paths_of
from tests.simulation.statuses import check_change

from gantry.cli.errors import CommandError, ServerFailure
from gantry.cli.jobs import FINAL
from gantry.cli.luxi import LuxiClient, Opcode, Patience
from gantry.protocols.luxi import SOCKET_NAME

T = TypeVar("T")

PATIENCE_SECONDS = 300.0
"""Longer than any disaster, a failover after it, and the rest of a job that was in it."""

IMPATIENCE = Patience(
    connect_seconds=0.2,
    connect_pause_seconds=0.1,
    answer_seconds=30.0,
    sends_max=1,
    send_pause_seconds=0.0,
)
"""A client of one master gives up soon: another node may be the master by now."""

CHANGE_SECONDS_MAX = 10
PAUSE_SECONDS = 0.2

_number = itertools.count()


RETRIED = ("GenericError", "JobQueueDrainError", "JobQueueFull")
"""What a client is told that comes too early; the queue is opened again by whoever closed it."""

FIELDS = ("status", "opstatus")


@frozen
class Ended:
    """How a job ended."""

    id: int
    status: str
    op_statuses: tuple[str, ...]
    results: tuple[object, ...]


class NobodyAnswers(AssertionError):
    """No master has answered for longer than any disaster lasts."""


class JobLost(AssertionError):
    """A job that was acknowledged is not there any more."""


@define
class Client:
    """Asks whoever is the master, for one thread; :meth:`close` it."""

    cluster: DevCluster
    _connection: tuple[str, LuxiClient] | None = field(default=None, init=False)

    def ask(self, question: Callable[[LuxiClient], T]) -> T:
        """Ask until somebody gives an answer.

        Raises:
            NobodyAnswers: nobody has for :data:`PATIENCE_SECONDS`.
            ServerFailure: the answer, if asking again makes no difference.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return question(self._connected())
            except CommandError as failure:
                if isinstance(failure, ServerFailure) and failure.class_name not in RETRIED:
                    raise
                self.close()
                if time.monotonic() > deadline:
                    raise NobodyAnswers(failure.text) from failure
            time.sleep(PAUSE_SECONDS)  # there is no event for a master that comes back

    def submit(self, *opcodes: Opcode) -> int:
        """Submit a job, again and again until it is acknowledged: it is there once all the same."""
        reason = [["chaos", f"{next(_number)}", time.time_ns()]]
        marked = [{**opcode, "reason": reason} for opcode in opcodes]
        return self.ask(lambda luxi: luxi.submit_job(marked))

    def tell(self, method: str, *arguments: object) -> None:
        """Call a method; that it is too late for it is no error."""
        with suppress(ServerFailure):
            self.ask(lambda luxi: luxi.call(method, *arguments))

    def wait(self, job: int) -> Ended:
        """Watch a job to its end, through every failover.

        Raises:
            JobLost: nobody knows the job.
            NotAllowed: a status went where no status may go.
        """
        seen: list[object] | None = None
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while seen is None or seen[0] not in FINAL:
                assert time.monotonic() < deadline, f"job {job} is {seen} for ever"
                change = self.ask(
                    lambda luxi, known=seen: luxi.wait_for_job_change(  # type: ignore[misc] # mypy infers no type for a lambda's default
                        job, known, 0, CHANGE_SECONDS_MAX, FIELDS
                    )
                )
                check_change(job, seen, change.values)
                seen = change.values
            fields = [*FIELDS, "opresult"]
            [[status, op_statuses, results]] = self.ask(lambda luxi: luxi.query_jobs([job], fields))
        except ServerFailure as failure:
            raise JobLost(f"job {job}: {failure.text}") from failure
        assert isinstance(op_statuses, list)
        assert isinstance(results, list)
        return Ended(job, str(status), tuple(map(str, op_statuses)), tuple(results))

    def _connected(self) -> LuxiClient:
        address = str(paths_of(self.cluster).socket(SOCKET_NAME))
        if self._connection is None or self._connection[0] != address:
            self.close()
            self._connection = address, LuxiClient(address, patience=IMPATIENCE)
        return self._connection[1]

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection[1].close()
            self._connection = None
