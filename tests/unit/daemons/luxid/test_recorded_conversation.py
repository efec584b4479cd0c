"""Everything that a real LuxiD was recorded answering, replayed in order against ours.

What the recorded nodes said of themselves is said here, too, and the queue holds the recorded
jobs; so answers are equal but for sentences, times, and what was random.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import orjson
import pytest
import trio
from tests.unit.core.query.test_recorded_queries import LIVE, LOCKS, rebuilt
from tests.unit.daemons.luxid.luxid_bench import (
    NOW,
    PATIENCE_SECONDS,
    SAMPLES,
    Bench,
    Client,
    ScriptedProcess,
    bench,
    delay,
)

from gantry.core.query.live import LiveData, Needs
from gantry.daemons.luxid.files import live_path
from gantry.daemons.luxid.live import Inquiry
from gantry.protocols.framing import ETX
from gantry.protocols.jobproc import Ended, OpcodeChanged
from gantry.protocols.jobs import dump_job
from gantry.runtime.job_archive import archived_path

RECORDED: Final[list[dict[str, Any]]] = orjson.loads((SAMPLES / "luxi.json").read_bytes())
BY_NAME: Final = {each["name"]: each for each in RECORDED}

LAST_JOB: Final = 376
"""The last job before the recording began to submit some of its own."""

LONG: Final = (386, 387)
"""Two jobs that the recording has at work: the second one waits for the first one's locks."""

DIFFERENT: Final = frozenset({"huge_number"})
"""1e400 as the id of a job: Ganeti takes it for 0, we say that it can not be read."""

ENDS_WITH: Final = {
    LONG[0]: ("error", "detected death of job 386"),
    380: ("error", ["OpPrereqError", ["Instance 'nosuch.gnt.test' not known", "unknown_entity"]]),
}
"""How the recorded jobs end that do not succeed."""


@pytest.fixture(autouse=True)
def recorded_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the nodes say what they were recorded saying."""

    async def ask(self: Inquiry, needs: Needs) -> LiveData:
        await trio.lowlevel.checkpoint()
        return LiveData(LIVE.nodes, {u: c for u, c in LIVE.consoles.items() if u in needs.consoles})

    monkeypatch.setattr(Inquiry, "ask", ask)


async def write_queue(world: Bench) -> None:
    """Write the job files that the recorded LuxiD had."""
    result = BY_NAME["query_all_fields_job"]["response"]["result"]
    names = [each["name"] for each in result["fields"]]
    for row in result["data"]:
        told = dict(zip(names, (cell[1] for cell in row), strict=True))
        job = rebuilt(told)
        path = (archived_path if told["archived"] else live_path)(world.env, job.id)
        await world.files.make_folder(path.parent)
        await world.files.write(path, dump_job(job))
    await world.files.write(world.env.paths.queue / "serial", b"%d\n" % LAST_JOB)


# --- what happened between the requests ----------------------------------------------------------


async def work(world: Bench) -> None:
    """Be every job process but those of the long jobs."""
    seen: set[tuple[int, int]] = set()
    async with trio.open_nursery() as nursery:
        while True:
            for (job, attempt), process in [*world.launcher.processes.items()]:
                if (job, attempt) not in seen:
                    long = job in LONG and attempt == 1
                    nursery.start_soon(give_way if long else play, job, process)
                seen.add((job, attempt))
            await trio.sleep(0.001)


async def give_way(job: int, process: ScriptedProcess) -> None:
    """End a long job when that is wanted, if it still waits for its locks."""
    await process.cancelled.wait()
    if job == LONG[1]:
        await process.say_all(OpcodeChanged(0, "canceled", NOW, "Job canceled by request"), Ended())
        process.child.kill()


async def play(job: int, process: ScriptedProcess) -> None:
    await process.assigned.wait()
    status, result = ENDS_WITH.get(job, ("success", None))
    work = process.work
    assert work is not None
    for index in range(len(work.opcodes)):
        process.say(OpcodeChanged(index, "waiting", NOW), OpcodeChanged(index, "running", NOW))
        tags = work.opcodes[index]["OP_ID"] == "OP_TAGS_GET"
        said = ["ct1"] if tags else result
        await process.say_all(OpcodeChanged(index, cast(Any, status), NOW, said))
    await process.say_all(Ended())
    process.child.kill()


async def before(name: str, world: Bench, client: Client) -> None:
    """Do what the recording did before a request."""
    if name == "wfjc_first":
        assert await client.call("SubmitJob", [delay()]) == 385
    if name == "locks_while_waiting":
        for job in LONG:
            assert await client.call("SubmitJob", [delay()]) == job
        await (await world.launcher.process(LONG[0])).run()
        second = await world.launcher.process(LONG[1])
        await second.assigned.wait()
        await second.say_all(OpcodeChanged(0, "waiting", NOW))
        world.wconfd.held = LOCKS
    if name == "locks_one":
        world.wconfd.held = ()
    if name == "jobs_after_cancel":
        await until_over(client, LONG)
    elif method_of(BY_NAME[name]["request"]) in ("QueryJobs", "ArchiveJob"):
        await until_over(client, range(LAST_JOB + 1, LONG[0]))


def method_of(request: object) -> object:
    return cast("dict[str, object]", request).get("method") if isinstance(request, dict) else None


async def until_over(client: Client, jobs: Any) -> None:  # noqa: ANN401 - anything with numbers
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            rows = cast("list[list[Any]]", await client.call("QueryJobs", None, ["id", "status"]))
            if all(
                status in ("success", "error", "canceled") for job, status in rows if job in jobs
            ):
                return
            await trio.sleep(0.002)


# --- comparing -----------------------------------------------------------------------------------


def comparable(method: object, args: Any, result: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Leave out of a result what may differ."""
    match method, result:
        case _, str() if result.startswith("Failed to parse request"):
            return "Failed to parse request"
        case _, [str(cls), [*_]] if cls.endswith(("Error", "Lost")):
            return [cls, *result[1][1:]]
        case "Query", dict():
            fields = [{**each, "doc": ""} for each in result["fields"]]
            skipped = {"group": {"mtime", "serial_no"}}.get(args[0], set())
            kept = [at for at, each in enumerate(fields) if each["name"] not in skipped]
            return fields, [[row[at] for at in kept] for row in result["data"]]
        case "QueryFields", dict():
            return [{**each, "doc": ""} for each in result["fields"]]
        case "QueryClusterInfo", dict():
            return sorted(result)
        case "QueryJobs", list():
            return [
                [shape(name, cell) for name, cell in zip(args[1], row, strict=True)]
                for row in result
            ]
        case "WaitForJobChange", [[*values], [*log]]:
            return len(values), log
        case "CancelJob" | "ChangeJobPriority", [bool(success), str()]:
            return success
        case "ReplaceFilter", str():
            return len(result)
        case _:
            return result


EXACTLY: Final = {"id", "status", "opstatus", "priority", "oppriority", "summary", "archived"}


def shape(field: str, cell: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return what of a job's field does not depend on clocks and words."""
    if field in EXACTLY:
        return cell
    if field == "ops":
        return [sorted({"OP_ID", "reason", "comment", "depends"} & op.keys()) for op in cell]
    if field in ("opresult", "oplog"):
        return [type(each).__name__ for each in cell]
    return [type(each).__name__ for each in cell] if isinstance(cell, list) else type(cell).__name__


async def test_every_request_is_answered_as_recorded(tmp_path: Path) -> None:
    differences: dict[str, object] = {}
    async with bench(tmp_path) as world:
        await write_queue(world)
        async with world.running() as client:
            world.nursery.start_soon(work, world)
            for each in RECORDED[:-1]:
                name = each["name"]
                if name in DIFFERENT:
                    continue
                await before(name, world, client)
                async with world.client() as other:
                    difference = await replayed(other, each)
                if difference is not None:
                    differences[name] = difference
    assert differences == {}


async def test_two_requests_in_one_write_are_answered_in_order(tmp_path: Path) -> None:
    recorded = BY_NAME["pipelined_two_requests"]
    request = {"method": "QueryConfigValues", "args": [["cluster_name"]], "version": 3000000}
    async with bench(tmp_path) as world, world.running(), world.client() as client:
        await client.send((orjson.dumps(request) + ETX) * 2)
        assert [await client.receive() for _ in range(2)] == recorded["responses"]


async def replayed(client: Client, recorded: Mapping[str, Any]) -> object:
    """Ask what was recorded; return what differs, if anything."""
    request, expected = recorded["request"], recorded["response"]
    await client.send(sent(request, raw=recorded.get("request_is_raw", False)))
    answer = await client.receive()
    if answer is None or answer["success"] != expected["success"]:
        return answer
    method, args = (
        (request.get("method"), request.get("args")) if isinstance(request, dict) else ("", [])
    )
    ours, theirs = (comparable(method, args, each["result"]) for each in (answer, expected))
    if ours != theirs:
        return ours, theirs
    if recorded["server_closes_after"] and await client.receive() is not None:
        return "the connection stays open"
    return None


def sent(request: object, *, raw: bool) -> bytes:
    if not raw:
        return orjson.dumps(request) + ETX
    text = cast(str, request)
    return (b"\xff\xfe\x00" if text.startswith("b'") else text.encode()) + ETX
