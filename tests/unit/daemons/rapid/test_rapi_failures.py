"""What goes wrong at LuxiD, at the door, and with users."""

import pytest
import trio
import trio.testing
from tests.unit.daemons.rapid.rapi_world import ADMIN, World, basic, loaded
from tests.unit.runtime.canned_luxid import Failure

from gantry.daemons.rapid import api as api_module

START = "/2/instances/web/startup"


def failing(result: object) -> object:
    def fail(*_: object) -> object:
        raise Failure(result)

    return fail


@pytest.mark.parametrize(
    ("result", "status", "message"),
    [
        (["GenericError", ["Queue drained"]], 500, "Queue drained"),
        (["JobQueueDrainError", ["drained"]], 503, "drained"),
        (["JobQueueFull", []], 503, "the job queue is full"),
        (["OpPrereqError", ["OP_X is not there yet", "wrong_input"]], 501, "OP_X is not there yet"),
        ("Failed to parse request: <b>", 502, "Failed to parse request: &lt;b&gt;"),
        (["Odd", ["x"]], 502, "Odd: x"),
    ],
)
async def test_submissions_that_fail(
    result: object, status: int, message: str, world: World
) -> None:
    world.answers["SubmitJob"] = failing(result)

    response = await world.ask("PUT", START)

    assert response.status == status
    assert loaded(response)["message"] == message
    assert loaded(response)["code"] == status


async def test_an_instance_that_luxid_does_not_know(world: World) -> None:
    error = ["OpPrereqError", ["Instance name x not found", "unknown_entity"]]
    world.answers["QueryInstances"] = failing(error)
    assert (await world.ask("GET", "/2/instances/x")).status == 404


async def test_locking_queries_are_luxids_to_refuse(world: World) -> None:
    for path in ("/2/instances?lock=1", "/2/instances/inst1?lock=1", "/2/nodes/node1/role?lock=1"):
        assert (await world.ask("GET", path)).status == 500


async def test_without_luxid(world: World, autojump_clock: trio.testing.MockClock) -> None:
    world.network.install(None)

    response = await world.ask("GET", "/2/info")

    assert response.status == 502
    assert "gantry-luxid" in loaded(response)["message"]


async def test_a_defect_of_luxid_is_told_as_one(world: World) -> None:
    world.answers["QueryClusterInfo"] = []
    world.answers["QueryJobs"] = {"odd": 1}
    assert (await world.ask("GET", "/2/info")).status == 502
    assert (await world.ask("GET", "/2/jobs")).status == 502


async def test_a_defect_of_ours_is_the_servers_to_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object) -> object:
        raise KeyError("oops")

    monkeypatch.setattr(api_module, "opcodes_of", defect)
    with pytest.raises(KeyError):
        await world.ask("PUT", START)


async def test_the_os_list_is_the_result_of_a_job(world: World) -> None:
    steps = iter(
        [
            [["queued", [None]], []],
            [["running", [None]], [[1, [0, 0], "message", "hello"]]],
            [["success", [[["a", ["x", "y"]], ["b", []], ["c", None]]]], []],
        ]
    )
    world.answers["WaitForJobChange"] = lambda *_: next(steps)

    assert loaded(await world.ask("GET", "/2/os")) == ["a+x", "a+y", "b", "c"]

    known = [args[2] for args in world.luxid.calls("WaitForJobChange")]
    assert known == [None, ["queued", [None]], ["running", [None]]]


async def test_an_os_list_whose_job_fails(world: World) -> None:
    world.answers["WaitForJobChange"] = [["error", [["OpExecError", ["node is down"]]]], []]
    response = await world.ask("GET", "/2/os")
    assert (response.status, loaded(response)["message"]) == (500, "node is down")


async def test_waiting_for_a_job(world: World) -> None:
    answers = iter([[["running"], [[1, [0, 0], "message", "x"]]], "nochange", None])
    world.answers["WaitForJobChange"] = lambda *_: next(answers)
    body = {"fields": ["status"], "previous_job_info": ["queued"], "previous_log_serial": 0}

    first, second, third = [await world.ask("GET", "/2/jobs/5/wait", body=body) for _ in range(3)]

    assert loaded(first) == {
        "job_info": ["running"],
        "log_entries": [[1, [0, 0], "message", "x"]],
    }
    assert loaded(second) is None
    assert third.status == 404
    assert world.luxid.requests[0] == ("WaitForJobChange", [5, ["status"], ["queued"], 0, 10])


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"fields": "status"},
        {"fields": [1]},
        {"fields": [], "previous_log_serial": "x"},
    ],
)
async def test_bad_waits(body: object, world: World) -> None:
    assert (await world.ask("GET", "/2/jobs/5/wait", body=body)).status == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json; charset=utf-8", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
async def test_content_types(content_type: str, status: int, world: World) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = await world.ask("PUT", START, body="{}", headers=headers)
    assert response.status == status


@pytest.mark.parametrize(
    "body", [{"priority": "1"}, {"predicates": {}}, {"reason": 1}, {"nosuch": 1}, None]
)
async def test_bad_filters(body: object, world: World) -> None:
    assert (await world.ask("POST", "/2/filters", body=body)).status == 400


# --- users ---------------------------------------------------------------------------------------


async def test_the_users_file_is_read_again(world: World) -> None:
    assert (await world.ask("PUT", START)).status == 200

    world.files.put(world.env.paths.data / "rapi/users", b"other secret write\n")
    await world.api.users.reload()
    assert (await world.ask("PUT", START)).status == 401
    assert (await world.ask("PUT", START, user=basic("other", "secret"))).status == 200

    await world.files.remove(world.env.paths.data / "rapi/users")
    await world.api.users.reload()
    assert (await world.ask("PUT", START, user=basic("other", "secret"))).status == 401
    assert (await world.ask("GET", "/2/info", user=None)).status == 200


async def test_changes_of_the_users_file_are_followed(
    world: World, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    await nursery.start(world.api.users.follow)
    world.files.put(world.env.paths.data / "rapi/users", b"other secret write\n")
    await trio.testing.wait_all_tasks_blocked()
    assert (await world.ask("PUT", START, user=basic("other", "secret"))).status == 200
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("path", "user", "status"),
    [
        ("/2/info", None, 200),
        ("/2/info", basic("admin", "wrong"), 401),
        ("/2/info", basic("nobody", "nothing"), 200),
        ("/2/query/instance?fields=name,pnode", basic("nobody", "nothing"), 403),
        ("/2/query/instance?fields=name,pnode", basic("reader", "look"), 200),
        ("/2/jobs/5/wait", basic("reader", "look"), 403),
    ],
)
async def test_who_may_read(
    path: str, user: tuple[str, str] | None, status: int, world: World
) -> None:
    assert (await world.ask("GET", path, user=user)).status == status


async def test_users_may_be_wanted_for_everything(world: World) -> None:
    object.__setattr__(world.api, "always_authenticate", True)
    assert (await world.ask("GET", "/version", user=None)).status == 401
    assert (await world.ask("GET", "/version", user=basic("nobody", "nothing"))).status == 200
    assert (await world.ask("GET", "/version", user=ADMIN)).status == 200
