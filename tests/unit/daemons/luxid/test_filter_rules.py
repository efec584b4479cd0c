"""Job filter rules over LUXI: they are configuration, and queued jobs obey them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

import pytest
import trio
from tests.unit.daemons.luxid.luxid_bench import Bench, Client, bench, delay

UUID: Final = "b524b2c8-d44b-4f01-b576-50159f14bb6f"
EVERY_JOB: Final[list[object]] = []
NEW_JOBS: Final = [["jobid", [">", "id", "watermark"]]]
FIELDS: Final = ["uuid", "watermark", "priority", "predicates", "action", "reason_trail"]


async def rules(client: Client) -> list[list[object]]:
    return cast("list[list[object]]", await client.call("QueryFilters", None, FIELDS))


async def without_rules(client: Client) -> None:
    for rule in await rules(client):
        assert await client.call("DeleteFilter", rule[0]) is None


async def submitted(client: Client, **parameters: object) -> int:
    return cast(int, await client.call("SubmitJob", [delay(**parameters)]))


async def begins(world: Bench, job: int) -> None:
    process = await world.launcher.process(job)
    await process.run()


async def test_a_rule_is_added_replaced_and_removed(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await without_rules(client)
        made = await client.call("ReplaceFilter", None, 50, NEW_JOBS, "PAUSE", [["me", "why", 1]])
        (rule,) = await rules(client)
        assert rule[:5] == [made, 0, 50, NEW_JOBS, "PAUSE"]
        (mine, ours) = cast("list[list[object]]", rule[5])
        assert mine == ["me", "why", 1]
        assert ours[:2] == ["luxid", ""]
        await submitted(client)
        limit = ["RATE_LIMIT", 3]
        assert await client.call("ReplaceFilter", made, 60, EVERY_JOB, limit, []) == made
        assert [rule[:5] for rule in await rules(client)] == [[made, 1, 60, [], limit]]
        assert await client.call("ReplaceFilter", UUID, 0, EVERY_JOB, "ACCEPT", []) == UUID
        await without_rules(client)
        assert await rules(client) == []
        assert world.wconfd.state is not None
        assert not world.wconfd.state.jobs  # no key is kept


async def test_what_is_no_rule_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await without_rules(client)
        bad: list[list[object]] = [
            [None, 0, [], "NOSUCH", []],
            [None, 0, [["nosuch", []]], "ACCEPT", []],
            [None, -1, [], "ACCEPT", []],
            [None, 0, [], "ACCEPT", "because"],
        ]
        for args in bad:
            async with world.client() as other:
                text = cast(str, await other.fail("ReplaceFilter", *args))
                assert text.startswith("Failed to parse request")
                assert await other.receive() is None
        error = await client.fail("ReplaceFilter", "no-uuid", 0, [], "ACCEPT", [])
        assert error == ["GenericError", ["'no-uuid' is no UUID"]]
        error = await client.fail("DeleteFilter", UUID)
        assert error == ["GenericError", [f"there is no filter rule with the UUID {UUID}"]]
        assert await rules(client) == []


async def test_paused_jobs_begin_when_the_rule_is_gone(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await without_rules(client)
        rule = await client.call("ReplaceFilter", None, 9, NEW_JOBS, "PAUSE", [])
        paused = await submitted(client)
        other = await submitted(client)
        assert await client.status(paused) == "queued"
        by_number = [["jobid", ["=", "id", other]]]
        await client.call("ReplaceFilter", UUID, 0, by_number, "ACCEPT", [])
        await begins(world, other)
        assert await client.status(paused) == "queued"
        await client.call("DeleteFilter", rule)
        await begins(world, paused)


async def test_rejected_jobs_are_cancelled_also_those_in_the_queue(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await without_rules(client)
        await client.call("ReplaceFilter", UUID, 0, EVERY_JOB, "PAUSE", [])
        waiting = await submitted(client)
        dependent = await submitted(client, depends=[[waiting, ["success"]]])
        await client.call("ReplaceFilter", UUID, 0, [["jobid", ["=", "id", waiting]]], "REJECT", [])
        assert await client.status(waiting) == "canceled"
        assert await client.status(dependent) == "canceled"
        await client.call("ReplaceFilter", UUID, 0, EVERY_JOB, "REJECT", [])
        refused = await submitted(client)
        assert await client.call("QueryJobs", [refused], ["status", "opstatus", "opresult"]) == [
            ["canceled", ["canceled"], [None]]
        ]


async def test_a_limit_lets_the_next_begin_when_one_is_over(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await without_rules(client)
        await client.call("ReplaceFilter", UUID, 0, EVERY_JOB, ["RATE_LIMIT", 1], [])
        first, second = await submitted(client), await submitted(client)
        process = await world.launcher.process(first)
        await process.run()
        assert await client.status(second) == "queued"
        await process.finish()
        await begins(world, second)


async def test_a_limit_in_the_reason_trail_needs_no_rule(tmp_path: Path) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await without_rules(client)
        trail = [["gnt:user", "rate-limit:1:backup", 1]]
        first = await submitted(client, reason=trail)
        second = await submitted(client, reason=trail)
        free = await submitted(client)
        process = await world.launcher.process(first)
        await process.run()
        await begins(world, free)
        assert await client.status(second) == "queued"
        await process.finish()
        await begins(world, second)


@pytest.mark.parametrize("method", ["ReplaceFilter", "DeleteFilter"])
async def test_a_change_whose_answer_is_lost_is_not_made_twice(tmp_path: Path, method: str) -> None:
    async with bench(tmp_path) as world, world.running() as client:
        await without_rules(client)
        if method == "DeleteFilter":
            await client.call("ReplaceFilter", UUID, 0, EVERY_JOB, "ACCEPT", [])
        args: list[object] = [UUID]
        if method == "ReplaceFilter":
            args += [0, EVERY_JOB, "ACCEPT", []]
        changes = len(world.wconfd.deltas_made)
        died = world.wconfd.dies_once_it_has_committed = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call, method, *args)
            await died.wait()
            world.wconfd.dies_once_it_has_committed = None
            await world.stop_wconfd()
            await world.start_wconfd()
        assert [rule[0] for rule in await rules(client)] == [UUID] * (method == "ReplaceFilter")
        assert len(world.wconfd.deltas_made) == changes + 1
