"""The first record of a new reign: it names the master, and counts in its place all before it."""

from __future__ import annotations

from collections.abc import Iterator, Set

from attrs import evolve

from gantry.core.replication.quorum import voters_of
from gantry.protocols.config_records import ConfigRecord
from gantry.protocols.identity import Attempt, Epoch, JobId, Key, NodeUuid
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.objects.wire import dump_object
from gantry.protocols.wconfd import ObjectPut

NO_JOB = JobId(0)
"""The key of a reign's first record; no job has this number."""


def first_record(
    configuration: Configuration,
    master: NodeUuid,
    epoch: Epoch,
    voters: frozenset[NodeUuid] | None,
    now: float,
) -> ConfigRecord:
    """Return the record that begins a reign.

    Args:
        configuration: as the log that the reign goes on with has it.
        master: who leads.
        epoch: the new one.
        voters: who votes, if the reign begins without a majority of those who did: the others
            are marked offline, and their certificates count no more.
        now: seconds since the Unix epoch.
    """
    mtime = max(now, configuration.mtime)
    cluster = configuration.cluster
    behind = set[NodeUuid]() if voters is None else voters_of(configuration) - voters
    led = evolve(
        cluster,
        master_node=master,
        candidate_certs={
            uuid: each for uuid, each in cluster.candidate_certs.items() if uuid not in behind
        },
        serial_no=cluster.serial_no + 1,
        mtime=mtime,
    )
    puts = [
        ObjectPut("cluster", cluster.uuid, dump_object(led)),
        *_offline(configuration, behind, mtime),
    ]
    serial_no = configuration.serial_no + 1
    key = Key(NO_JOB, 0, epoch)
    return ConfigRecord(key, Attempt(1), f"reign {epoch}", serial_no, mtime, tuple(puts))


def _offline(
    configuration: Configuration, behind: Set[NodeUuid], mtime: float
) -> Iterator[ObjectPut]:
    for uuid in sorted(behind):
        node = configuration.nodes[uuid]
        offline = evolve(
            node,
            offline=True,
            master_candidate=False,
            drained=False,
            serial_no=node.serial_no + 1,
            mtime=mtime,
        )
        yield ObjectPut("node", uuid, dump_object(offline))
