"""LUXI on the wire: framing, crowds, rude clients, dialects, a configuration that is not there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import trio
from tests.unit.daemons.luxid.luxid_bench import PATIENCE_SECONDS, bench, delay

from gantry.daemons.luxid import connection
from gantry.daemons.luxid import main as luxid
from gantry.protocols.framing import ETX
from gantry.protocols.records import Index


async def test_requests_may_come_in_one_piece_or_in_many(tmp_path: Path) -> None:
    request = orjson.dumps({"method": "QueryConfigValues", "args": [["cluster_name"]]}) + ETX
    async with bench(tmp_path) as world, world.running() as client:
        await client.send(request + request)
        for _ in range(2):
            assert await client.receive() == {"success": True, "result": ["cluster.gnt.test"]}
        for byte in request:
            await client.send(bytes([byte]))
        assert await client.receive() == {"success": True, "result": ["cluster.gnt.test"]}


async def test_the_version_of_a_request_is_the_dialect_of_its_opcodes(tmp_path: Path) -> None:
    rename = {"OP_ID": "OP_INSTANCE_RENAME", "reason": [], "instance_name": "a", "new_name": "b"}
    async with bench(tmp_path) as world, world.running() as client:
        for version, checks in ((3_000_000, True), (3_010_000, False), (3_020_000, False)):
            for method, args in (("SubmitJob", [[rename]]), ("SubmitManyJobs", [[[rename]]])):
                request = {"method": method, "args": args, "version": version}
                answer = await client.ask(request)
                assert set(answer) == {"success", "result"}
                job = (
                    answer["result"] if method == "SubmitJob" else cast(Any, answer["result"])[0][1]
                )
                rows = cast(Any, await client.call("QueryJobs", [job], ["ops"]))
                assert rows[0][0][0]["name_check"] is checks
        strict = {"OP_ID": "OP_CLUSTER_VERIFY_DISKS", "reason": [], "is_strict": True}
        newer = {"method": "SubmitJob", "args": [[strict]], "version": 3_010_000}
        assert (await client.ask(newer))["success"]
        older = cast(str, (await client.ask({**newer, "version": 3_000_000}))["result"])
        assert "is_strict" in older
        assert await client.receive() is None


async def test_a_client_that_cuts_a_request_off_disturbs_nobody(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        async with world.client() as rude:
            await rude.send(b'{"method": "Que')
        assert await client.call("QueryConfigValues", ["nosuch"]) == [None]


async def test_an_oversized_request_costs_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_BYTES_MAX", 100)
    async with bench(tmp_path) as world:
        await world.start_wconfd()
        async with world.luxid(), world.client() as client:
            await client.send(b"x" * 101)
            answer = await client.receive()
            assert answer is not None
            assert not answer["success"]
            assert await client.receive() is None


async def test_a_crowd_pushes_out_only_whoever_is_idle_for_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 3)
    async with (
        bench(tmp_path) as world,
        world.running() as first,
        contextlib.AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(world.client()) for _ in range(2)]
        for client in others:
            await client.call("QueryConfigValues", ["nosuch"])
        crowd = [await stack.enter_async_context(world.client()) for _ in range(2)]
        for client in crowd:
            await client.call("QueryConfigValues", ["nosuch"])
        assert await first.receive() is None
        assert await others[0].receive() is None
        await others[1].call("QueryConfigValues", ["nosuch"])


@pytest.fixture
def ready_without_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(luxid, "CONFIGURATION_SECONDS_MAX", 0.0)


@pytest.mark.usefixtures("ready_without_configuration")
async def test_without_a_configuration_every_call_fails_but_one(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.luxid(), world.client() as client:
        calls: list[tuple[str, list[object]]] = [
            ("SubmitJob", [[delay()]]),
            ("SubmitManyJobs", [[]]),
            ("Query", ["job", ["id"], None]),
            ("QueryFields", ["job", None]),
            ("QueryJobs", [None, ["id"]]),
            ("QueryNodes", [[], ["name"], False]),
            ("QueryTags", ["cluster", ""]),
            ("QueryClusterInfo", []),
            ("QueryConfigValues", [["cluster_name"]]),
            ("CancelJob", [1, False]),
            ("ArchiveJob", [1]),
            ("AutoArchiveJobs", [1, 1]),
            ("SetDrainFlag", [True]),
            ("SetWatcherPause", [None]),
            ("PickupJob", [1]),
            ("WaitForJobChange", [1, ["id", "status"], None, None, 1]),
        ]
        for method, args in calls:
            error = cast("list[object]", await client.fail(method, *args))
            assert error[0] == "ConfigurationError", method
        lost = await client.fail("WaitForJobChange", 1, ["status"], None, None, 1)
        assert cast("list[object]", lost)[0] == "JobLost"


@pytest.mark.usefixtures("ready_without_configuration")
async def test_the_configuration_comes_when_wconfd_does(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.luxid(), world.client() as client:
        await client.fail("QueryClusterInfo")
        await world.start_wconfd()
        await world.known(client)
        await world.stop_wconfd()
        assert await client.call("QueryConfigValues", ["cluster_name"]) == ["cluster.gnt.test"]


async def test_ganetis_clients_find_the_socket(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running():
        link = world.env.paths.run / "socket" / "ganeti-query"
        real = world.env.paths.socket("query")
        assert await world.files.exists(link.parent)
        assert real.stat().st_mode & 0o777 == 0o660


async def test_a_slow_reader_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS_MAX", 0.01)
    request = orjson.dumps({"method": "QueryClusterInfo", "args": []}) + ETX
    async with bench(tmp_path) as world, world.running() as client:
        async with world.client() as slow:
            with pytest.raises(trio.BrokenResourceError), trio.fail_after(PATIENCE_SECONDS):
                await slow.send(request * 10_000)
        assert await client.call("QueryConfigValues", ["nosuch"]) == [None]


async def test_every_answer_and_job_says_that_the_master_is_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        ask = {"method": "QueryConfigValues", "args": [["cluster_name"]]}
        assert "warnings" not in await client.ask(ask)
        world.wconfd.go_alone(Index(17))

        async def warned() -> bool:
            return "warnings" in await client.ask(ask)

        await world.eventually(warned)
        (text,) = cast("list[str]", (await client.ask(ask))["warnings"])
        assert text.startswith("the master goes on alone since record 17 of the configuration")
        assert "node2.gnt.test" in text
        assert "warnings" in await client.ask({"method": "Nonsense", "args": []})

        async with world.client() as other:  # a request that can not be read costs the connection
            job = await other.call("SubmitJob", [delay()])
            process = await world.launcher.process(cast(int, job))
            await process.assigned.wait()
            assert process.work is not None
            assert process.work.warnings == (text,)
            world.wconfd.go_alone(None)

            async def calm() -> bool:
                return "warnings" not in await other.ask(ask)

            await world.eventually(calm)
