"""Which nodes may forget which jobs, by the records of the queue's stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gantry.protocols.identity import JobId, NodeUuid
from gantry.protocols.jobproc import Ended
from gantry.protocols.queue_records import JobReported, QueueRecord


def ended_on_nodes(records: Iterable[QueueRecord]) -> Mapping[NodeUuid, set[JobId]]:
    """Return the jobs that have ended, by the nodes that may remember calls of theirs."""
    found: dict[NodeUuid, set[JobId]] = {}
    for record in records:
        if isinstance(record, JobReported):
            for event in record.events:
                for node in event.nodes if isinstance(event, Ended) else ():
                    found.setdefault(node, set()).add(record.job)
    return found
