"""Our answers compared with those of Ganeti's LuxiD for the same configuration."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from attrs import frozen

from gantry.core.query.engine import plan_query
from gantry.core.query.live import LiveData, NodeLive
from gantry.core.query.view import View
from gantry.protocols.codec import Malformed
from gantry.protocols.errors import GanetiError
from gantry.protocols.identity import InstanceUuid, JobId, NodeUuid
from gantry.protocols.jobs import Job, job_from_json
from gantry.protocols.locks import LockName, LockState, LockWait
from gantry.protocols.noded import NodeInfo
from gantry.protocols.query import parse_query
from gantry.protocols.runtime_types import InstanceRuntime, MessageConsole

NODE1 = NodeUuid("4d80e271-c4ae-4394-aae9-c634f98eb05e")
NODE2 = NodeUuid("30969da0-a282-463d-aea9-c0c473b1cad6")
NODE3 = NodeUuid("fb4ce8e8-3edd-40b9-9013-a988345fbfbe")
INST1 = InstanceUuid("05ade776-15c6-402e-9ba6-2d42e6431fde")
INST2 = InstanceUuid("6ae7d516-e9f6-40a6-9718-229b12567466")
TMPL = InstanceUuid("b9ffb6d0-6952-413a-85fe-db408ec136af")

SAMPLES = json.loads((Path(__file__).parents[3] / "facts" / "samples" / "luxi.json").read_text())
QUERIES = [
    pair["name"]
    for pair in SAMPLES
    if isinstance(pair["request"], dict)
    and pair["request"].get("method") == "Query"
    and len(pair["request"]["args"]) == 3
    and isinstance(pair["request"]["args"][0], str)
]


def running(name: str, uuid: InstanceUuid, memory: int) -> InstanceRuntime:
    return InstanceRuntime(name, uuid, "fake", "running", memory, 1, 0.0, 1.0)


def info(free: int) -> NodeInfo:
    return NodeInfo("f2579370-8695-4f76-a1f1-992f65b18234", 2, 1, 1, 24105, free, 103, 258019,
                    75095, {})  # fmt: skip


CONSOLE = MessageConsole("Console not available for fake hypervisor")

LIVE = LiveData(
    nodes={
        NODE1: NodeLive(info(6975), (running("inst2.gnt.test", INST2, 64),), ("inst2.gnt.test",)),
        NODE2: NodeLive(info(23023), (running("tmpl.gnt.test", TMPL, 16),), ()),
        NODE3: NodeLive(info(23039), (), ()),
    },
    consoles={INST1: CONSOLE, INST2: CONSOLE, TMPL: CONSOLE},
)
"""What the nodes of the recorded cluster said."""

LOCKS = (
    LockState(LockName("node/[lockset]"), None, (), ()),
    LockState(
        LockName(f"node/{NODE1}"),
        "exclusive",
        (JobId(386),),
        (LockWait(JobId(387), "exclusive", (JobId(386),)),),
    ),
    LockState(LockName("cluster/[lockset]"), None, (), ()),
    LockState(LockName("cluster/BGL"), "shared", (JobId(386), JobId(387)), ()),
)

CHANGED_MEANWHILE = {"group": {"mtime", "serial_no"}}
"""What differs because the configuration was recorded after the queries."""


@frozen
class Jobs:
    """The jobs of the recorded queue, rebuilt from all that Ganeti told of them."""

    current: Mapping[JobId, Job]
    archived: Mapping[JobId, Job]


@pytest.fixture(scope="session")
def jobs(recorded: Mapping[str, Any]) -> Jobs:
    result = recorded["query_all_fields_job"]["response"]["result"]
    names = [each["name"] for each in result["fields"]]
    told = [dict(zip(names, (cell[1] for cell in row), strict=True)) for row in result["data"]]
    return Jobs(
        {JobId(job["id"]): rebuilt(job) for job in told if not job["archived"]},
        {JobId(job["id"]): rebuilt(job) for job in told if job["archived"]},
    )


def rebuilt(job: Mapping[str, Any]) -> Job:
    per_op = {"input": "ops", "status": "opstatus", "result": "opresult", "log": "oplog",
              "start_timestamp": "opstart", "exec_timestamp": "opexec", "end_timestamp": "opend",
              "priority": "oppriority"}  # fmt: skip
    ops = [
        {key: job[field][place] for key, field in per_op.items()}
        for place in range(len(job["ops"]))
    ]
    return job_from_json({
        "id": job["id"], "ops": ops, "received_timestamp": job["received_ts"],
        "start_timestamp": job["start_ts"], "end_timestamp": job["end_ts"],
    })  # fmt: skip


def as_sent(value: object) -> dict[str, Any]:
    sent: dict[str, Any] = orjson.loads(orjson.dumps(value))
    return sent


def without(columns: set[str], result: Mapping[str, Any]) -> list[list[Any]]:
    kept = [place for place, each in enumerate(result["fields"]) if each["name"] not in columns]
    return [[row[place] for place in kept] for row in result["data"]]


@pytest.mark.parametrize("name", QUERIES)
def test_we_answer_as_ganeti_did(
    name: str, view: View, recorded: Mapping[str, Any], jobs: Jobs
) -> None:
    response = recorded[name]["response"]
    what, fields, qfilter = recorded[name]["request"]["args"]
    locks = LOCKS if name == "locks_while_waiting" else ()
    live = LiveData(LIVE.nodes, LIVE.consoles, jobs.archived, locks)
    if not response["success"]:
        refuse_alike(response["result"], view, jobs, (what, fields, qfilter))
        return
    plan = plan_query(parse_query(what, fields, qfilter), view, jobs.current).chosen()
    ours = as_sent(plan.answer(live))
    assert [{**each, "doc": ""} for each in ours["fields"]] == response["result"]["fields"]
    changed = CHANGED_MEANWHILE.get(what, set())
    assert without(changed, ours) == without(changed, response["result"])


def refuse_alike(
    error: str | list[Any], view: View, jobs: Jobs, args: tuple[Any, Any, Any]
) -> None:
    """What Ganeti refused as unreadable is Malformed; else the error's class and code agree."""
    if isinstance(error, str):
        with pytest.raises(Malformed):
            parse_query(*args)
        return
    with pytest.raises(GanetiError) as caught:
        plan_query(parse_query(*args), view, jobs.current).chosen().answer(LIVE)
    kind, arguments = caught.value.encoded
    assert kind == error[0]
    assert isinstance(arguments, list)
    assert arguments[1:] == error[1][1:]
