"""The job file codec loses nothing."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gantry.protocols.identity import JobId
from gantry.protocols.jobs import STATUSES, Job, LogEntry, QueuedOpcode, dump_job, load_job

text = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
timestamps = st.tuples(st.integers(0, 2**33), st.integers(0, 999_999))
entries = st.builds(
    LogEntry,
    st.integers(1, 10_000),
    timestamps,
    st.sampled_from(["message", "remote-import", "delay-test"]),
    json_values,
)
opcodes = st.builds(
    QueuedOpcode,
    input=st.dictionaries(text, json_values, max_size=4),
    status=st.sampled_from(STATUSES),
    result=json_values,
    log=st.lists(entries, max_size=3).map(tuple),
    start_timestamp=st.none() | timestamps,
    exec_timestamp=st.none() | timestamps,
    end_timestamp=st.none() | timestamps,
    priority=st.integers(-20, 19),
)
jobs = st.builds(
    Job,
    id=st.integers(1, 10**9).map(JobId),
    ops=st.lists(opcodes, max_size=3).map(tuple),
    start_timestamp=st.none() | timestamps,
    end_timestamp=st.none() | timestamps,
    received_timestamp=st.none() | timestamps,
    livelock=st.none() | text,
    process_id=st.none() | st.integers(2, 2**22),
)


@given(jobs)
def test_a_job_survives_its_file(job: Job) -> None:
    data = dump_job(job)
    assert load_job(data) == job
    assert dump_job(load_job(data)) == data
    assert {"livelock", "process_id"} & set(json.loads(data)) == {
        name for name in ("livelock", "process_id") if getattr(job, name) is not None
    }
