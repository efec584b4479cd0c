"""What a candidate derives from the queue's log when it folds it."""

from __future__ import annotations

from gantry.core.queue.snapshot import take
from gantry.core.queue.state import Queue
from gantry.core.replication.replica import Append, append
from gantry.daemons.noded.replica_files import ReplicaFiles
from gantry.protocols.codec import dump, from_bytes, load, to_bytes
from gantry.protocols.config_records import FIRST_EPOCH
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.jobs import load_job
from gantry.protocols.queue_records import (
    AttemptBegun,
    JobArchived,
    JobsSubmitted,
    NewJob,
    StoredQueue,
    dump_record,
)
from gantry.protocols.records import ORIGIN, encode_records
from gantry.protocols.replication import Appended
from gantry.runtime.job_archive import archived_path, read_course
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles


async def test_an_archived_job_gets_its_file_before_it_is_forgotten() -> None:
    files = MemoryFiles()
    env = memory_environment("node2.gnt.test", files)
    files.put_folder(env.paths.data)
    first = StoredQueue(ORIGIN, take(Queue()))
    files.put(env.paths.data / "queue.snapshot", to_bytes(dump(first)))
    replica = await ReplicaFiles.open(env, "queue", FIRST_EPOCH)
    submitted = JobsSubmitted((NewJob(JobId(1), ()), NewJob(JobId(2), ())), (5, 0))
    begun = AttemptBegun(JobId(1), Attempt(1), "run", (6, 0))
    payloads = [dump_record(e) for e in (submitted, begun, JobArchived(JobId(1), "success"))]
    _, records = encode_records(ORIGIN, FIRST_EPOCH, payloads)
    message = Append(FIRST_EPOCH, ORIGIN, records, records[-1].index)
    taken = append(replica.replica, message)
    assert isinstance(taken, tuple)
    after, effects, answer = taken
    assert isinstance(answer, Appended)
    await replica.carry_out(after, effects, None)

    await replica.fold()

    archived = load_job(await files.read(archived_path(env, JobId(1))))
    assert archived.received_timestamp == (5, 0)
    course = await read_course(env, JobId(1))
    assert course is not None
    assert [each.at for each in course.attempts] == [(6, 0)]
    stored = load(StoredQueue, from_bytes(await files.read(env.paths.data / "queue.snapshot")))
    assert [job for job, _ in stored.queue.archived] == [1]
    assert len(stored.queue.entries) == 1
    await replica.aclose()
