"""What RConfD knows of files that somebody else writes: committed records, and no others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gantry.core.config.folding import end_of_file
from gantry.daemons.rconfd.replica import CONFIG_LOG, Replica
from gantry.protocols.config_records import ConfigRecord, dump_record
from gantry.protocols.identity import Attempt, Epoch, JobId, Key
from gantry.protocols.rconfd import Request, RequestType
from gantry.protocols.records import Checksum, Position, Record, encode_records, first_line
from gantry.protocols.replication import LogEnd
from gantry.protocols.wconfd import ObjectPut
from gantry.runtime.commit_mark import CONFIG_MARK, CommitMark, rendered
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

SAMPLE = json.loads(Path("tests/facts/samples/config.data").read_bytes())
EPOCH = Epoch(3)
KEEPER, OTHER_KEEPER = "a" * 16, "b" * 16
BASE = end_of_file(SAMPLE).position


def cluster(serial: int) -> dict[str, Any]:
    return {**SAMPLE["cluster"], "serial_no": serial}


def changes(serials: Sequence[int], after: Position = BASE) -> tuple[bytes, tuple[Record, ...]]:
    """Return the lines and records of changes of the cluster to these serial numbers."""
    payloads = [
        dump_record(
            ConfigRecord(
                Key(JobId(1), 0, serial),
                Attempt(1),
                "digest",
                serial,
                5.0,
                (ObjectPut("cluster", SAMPLE["cluster"]["uuid"], cluster(serial)),),
            )
        )
        for serial in serials
    ]
    return encode_records(after, EPOCH, payloads)


class Node:
    """The files of a node, and an RConfD that reads them."""

    def __init__(self) -> None:
        self.files = MemoryFiles()
        self.env = memory_environment("node1.gnt.test", self.files)
        self.replica = Replica(self.env)
        self.put_snapshot(SAMPLE)
        self.put("hmac.key", b"key\n")

    def put(self, name: str, data: bytes) -> None:
        self.files.put(self.env.paths.data / name, data)

    def put_snapshot(self, document: dict[str, Any]) -> None:
        self.put("config.data", json.dumps(document).encode())

    def put_log(self, *lines: bytes, start: Position = BASE) -> None:
        self.put(CONFIG_LOG, first_line(start) + b"".join(lines))

    def mark(self, position: Position, keeper: str = KEEPER) -> None:
        end = LogEnd(EPOCH, position.index, position.checksum)
        self.put(CONFIG_MARK, rendered(CommitMark(keeper, end)))

    async def serial(self) -> int | None:
        """Look at the files; return the serial number that is answered now, if any is."""
        await self.replica.reload()
        if self.replica.book is None:
            return None
        begun, end = self.replica.book.answer(Request(RequestType.CLUSTER_MASTER, None, "r", True))
        return int(json.loads(begun.plain + end.plain)["serial"])

    def order(self) -> tuple[int, int]:
        assert self.replica.book is not None
        order = self.replica.book.view.order
        return order.epoch, order.index


@pytest.fixture
def node() -> Node:
    return Node()


async def test_only_what_is_committed_is_answered(node: Node) -> None:
    lines, records = changes([100, 101, 102])
    node.put_log(lines)
    node.mark(records[0].position)
    assert await node.serial() == 100
    assert node.order() == (EPOCH, records[0].index)

    node.mark(records[2].position)
    assert await node.serial() == 102


async def test_what_is_new_is_read_without_the_snapshot(node: Node) -> None:
    lines, records = changes([100])
    node.put_log(lines)
    node.mark(records[0].position)
    assert await node.serial() == 100

    more, later = changes([101, 102], records[-1].position)
    node.put_snapshot({})  # nobody looks at it
    node.put_log(lines, more)
    node.mark(later[-1].position)
    assert await node.serial() == 102


async def test_in_a_log_that_was_cut_short_our_place_is_found_again(node: Node) -> None:
    lines, records = changes([100, 101, 102])
    node.put_log(lines)
    node.mark(records[1].position)
    assert await node.serial() == 101

    node.put_snapshot({})  # nobody looks at it
    rest, later = changes([102, 103], records[1].position)
    kept, _ = changes([101], records[0].position)
    node.put_log(kept, rest, start=records[0].position)
    node.mark(later[-1].position)
    assert await node.serial() == 103


async def test_a_log_that_was_cut_short_beyond_us_is_read_anew(node: Node) -> None:
    lines, records = changes([100, 101])
    node.put_log(lines)
    node.mark(records[0].position)
    assert await node.serial() == 100

    end = records[1]
    saved = {"epoch": EPOCH, "index": end.index, "checksum": end.checksum, "jobs": []}
    node.put_snapshot({**SAMPLE, "cluster": cluster(101), "gantry": {"log": saved}})
    more, later = changes([102], end.position)
    node.put_log(more, start=end.position)
    node.mark(later[-1].position)
    assert await node.serial() == 102


async def test_under_another_keeper_everything_is_read_anew(node: Node) -> None:
    lines, records = changes([100])
    node.put_log(lines)
    node.mark(records[0].position)
    assert await node.serial() == 100

    node.put_snapshot({**SAMPLE, "cluster": cluster(7)})  # as an administrator would, offline
    node.put_log()
    node.mark(BASE, OTHER_KEEPER)
    assert await node.serial() == 7


async def test_a_mark_of_another_history_is_not_believed(node: Node) -> None:
    lines, records = changes([100])
    node.put_log(lines)
    node.mark(Position(records[0].index, changes([200])[1][0].checksum))
    assert await node.serial() == SAMPLE["cluster"]["serial_no"]


@pytest.mark.parametrize("torn", [b"", b"\0" * 88, b"half a mark"])
async def test_a_torn_mark_is_as_good_as_none(node: Node, torn: bytes) -> None:
    lines, _ = changes([100])
    node.put_log(lines)
    node.put(CONFIG_MARK, torn)
    assert await node.serial() == SAMPLE["cluster"]["serial_no"]


async def test_without_a_mark_the_snapshot_counts(node: Node) -> None:
    assert await node.serial() == SAMPLE["cluster"]["serial_no"]
    node.put_snapshot({**SAMPLE, "cluster": cluster(7)})
    assert await node.serial() == 7


async def test_a_log_that_does_not_belong_to_the_snapshot_is_left_alone(node: Node) -> None:
    elsewhere = Position(BASE.index, Checksum("c" * 32))
    lines, records = changes([100], elsewhere)
    node.put_log(lines, start=elsewhere)
    node.mark(records[0].position)
    assert await node.serial() == SAMPLE["cluster"]["serial_no"]


async def test_a_node_that_is_no_candidate_any_more_falls_silent(node: Node) -> None:
    node.put_log()
    node.mark(BASE)
    assert await node.serial() is not None

    await node.files.remove(node.env.paths.config)
    assert await node.serial() is None
