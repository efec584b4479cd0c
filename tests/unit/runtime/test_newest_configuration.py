"""The configuration as a node's files have it, and whether its last change of the voters counts."""

from __future__ import annotations

from attrs import evolve
from tests.unit.core.config.small_cluster import NODE3, sample
from tests.unit.core.config.test_voter_history import ALL, demotion

from gantry.core.config.folding import end_of_file
from gantry.core.config.voter_history import SetChanged
from gantry.protocols.codec import to_bytes
from gantry.protocols.config_records import dump_record
from gantry.protocols.identity import Epoch
from gantry.protocols.objects.configuration import dump_configuration
from gantry.protocols.records import Checksum, encode_records, first_line
from gantry.protocols.replication import LogEnd
from gantry.runtime.commit_mark import CONFIG_MARK, CommitMark, rendered
from gantry.runtime.environment import Environment
from gantry.runtime.newest_configuration import CONFIG_LOG, read_newest
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles

DATA = dump_configuration(sample())
BASE = end_of_file(DATA).position
LINES, [RECORD] = encode_records(BASE, Epoch(1), [dump_record(demotion(NODE3))])
END = LogEnd(RECORD.epoch, RECORD.index, RECORD.checksum)


def environment(mark: LogEnd | None) -> Environment:
    files = MemoryFiles()
    env = memory_environment("node2.gnt.test", files)
    files.put(env.paths.config, to_bytes(DATA))
    files.put(env.paths.data / CONFIG_LOG, first_line(BASE) + LINES)
    if mark is not None:
        files.put(env.paths.data / CONFIG_MARK, rendered(CommitMark("0" * 16, mark)))
    return env


async def test_a_change_of_the_voters_may_not_count_unless_the_mark_says_so() -> None:
    assert (await read_newest(environment(None))).change == SetChanged(RECORD.index, ALL)
    assert (await read_newest(environment(END))).change is None


async def test_a_mark_of_another_log_says_nothing() -> None:
    other = evolve(END, checksum=Checksum("0" * 32))
    assert (await read_newest(environment(other))).change == SetChanged(RECORD.index, ALL)
