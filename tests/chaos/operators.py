"""The cluster's operator: does what concerns everybody, and what others must bear."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Final

from attrs import define, field
from tests.chaos.clients import Client, Ended
from tests.crash import jobs as op

from gantry.cli.luxi import Opcode

PAUSE_SECONDS_MAX: Final = 4.0
"""Between two things: most of the time an operator leaves people alone."""

CLOSED_SECONDS_MAX: Final = 1.5
ARCHIVED_AGE_SECONDS: Final = 30
"""Old enough that nobody waits for the job any more: everybody waits for their own as they run."""

ARCHIVE_SECONDS_MAX: Final = 10


@define(eq=False)
class Operator:
    """Works over LUXI, on nodes and on the queue."""

    client: Client
    random: Random
    nodes: tuple[str, ...]
    ended: list[Ended] = field(factory=list)
    _drained: str | None = None
    """One node at a time: with more of them there may be too few voters for a failover."""

    def close(self) -> None:
        """Leave, with the queue open for everybody."""
        for method in ("SetDrainFlag", "SetQueuePause"):
            self.client.tell(method, False)
        self.client.close()

    def work(self) -> None:
        """Do one thing."""
        time.sleep(self.random.uniform(0.0, PAUSE_SECONDS_MAX))  # the operator's own time
        duties: list[tuple[int, Callable[[], object]]] = [
            (3, lambda: self._do(self._drain())),
            (2, lambda: self._do({"OP_ID": "OP_CLUSTER_VERIFY"})),
            (2, lambda: self._do(self._evacuate())),
            (1, lambda: self._do(self._default())),
            (1, lambda: self._closed("SetDrainFlag")),
            (1, lambda: self._closed("SetQueuePause")),
            (2, self._archive),
        ]
        self.random.choices([duty for _, duty in duties], [weight for weight, _ in duties])[0]()

    def _do(self, *opcodes: Opcode) -> None:
        self.ended.append(self.client.wait(self.client.submit(*opcodes)))

    def _drain(self) -> Opcode:
        """Take a node out of use, or, if there is one that is, back into it."""
        back, self._drained = self._drained, None
        if back is None:
            self._drained = self.random.choice(self.nodes)
        return {
            "OP_ID": "OP_NODE_SET_PARAMS",
            "node_name": op.full(back or self._drained or ""),
            "drained": back is None,
            "auto_promote": True,
        }

    def _evacuate(self) -> Opcode:
        name = op.full(self.random.choice(self.nodes))
        return {"OP_ID": "OP_NODE_MIGRATE", "node_name": name}

    def _default(self) -> Opcode:
        """Change a default that no instance of these tests follows, since each has its own."""
        memory = self.random.choice((64, 96))
        return {"OP_ID": "OP_CLUSTER_SET_PARAMS", "beparams": {"memory": memory}}

    def _closed(self, method: str) -> None:
        """Close the queue, for new jobs or for those that wait, and open it again."""
        self.client.tell(method, True)
        time.sleep(self.random.uniform(0.0, CLOSED_SECONDS_MAX))  # the operator's own time
        self.client.tell(method, False)

    def _archive(self) -> None:
        self.client.tell("AutoArchiveJobs", ARCHIVED_AGE_SECONDS, ARCHIVE_SECONDS_MAX)
