"""RapiD's answers compared with those that Ganeti's gave."""

import json

import pytest
from tests.unit.daemons.rapid.rapi_world import (
    ADMIN,
    FACTS,
    SAMPLES,
    Recorded,
    World,
    basic,
    loaded,
)

USERS = {
    "no auth get": None,
    "no auth get query": None,
    "no auth put": None,
    "bad password": basic("admin", "wrong"),
    "bad user": basic("nosuch", "secret"),
    "readonly user put": basic("reader", "look"),
    "readonly get": basic("reader", "look"),
    "bearer": ("authorization", "Bearer abc"),
    "malformed basic": ("authorization", "Basic !!!"),
    "hashed user get": basic("hashed", "digest"),
}
"""Who asks, where it is not the one who may do everything."""

JOB_ID = 1234
"""What our LuxiD says to every submission."""

OWN_WORDS = {"body unknown key", "body bad type", "rename nop bad", "replace disks bad"}
"""Where the message says in the parser's own words what is wrong with an opcode."""

MEASURED = {"/2/nodes/node1.gnt.test"}
LIVE = {"mfree", "mnode", "dfree"}
"""What had changed on the node between the recorded list and the recorded object."""

DIFFERENT = {
    "get /2/jobs/1/wait": "a body that is missing is a bad request, not a failure of the server",
    "console": "the instance is not in the recorded list any more",
}


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s["name"] not in DIFFERENT], ids=lambda s: s["name"]
)
async def test_what_ganeti_answered_we_answer(sample: Recorded, world: World) -> None:
    response = await world.ask(
        sample["method"],
        sample["path"],
        body=sample["body"],
        headers=sample["request_headers"],
        user=USERS.get(sample["name"], ADMIN),
    )

    assert response.status == sample["status"]
    assert response.content_type == sample["headers"]["Content-Type"]
    if sample["status"] == 401:
        assert dict(response.headers)["www-authenticate"] == sample["headers"]["WWW-Authenticate"]
    if sample["method"] == "HEAD":
        return
    ours, theirs = loaded(response), sample["json"]
    if "job_result" in sample and sample["status"] == 200:
        assert ours == JOB_ID
    elif sample["name"] in OWN_WORDS:
        assert ours["message"].startswith("Invalid body parameters: ")
        assert (ours["code"], ours["explain"]) == (theirs["code"], theirs["explain"])
    elif sample["path"] == "/2/features":
        assert sorted(ours) == sorted(theirs)
    elif isinstance(theirs, int) and sample["path"] != "/version":
        assert ours == JOB_ID
    elif sample["path"] in MEASURED:
        assert ours.keys() == theirs.keys()
        assert {k: v for k, v in ours.items() if k not in LIVE} == {
            k: v for k, v in theirs.items() if k not in LIVE
        }
    else:
        assert ours == theirs


@pytest.mark.parametrize("number", range(408, 420))
async def test_opcodes_are_those_that_ganeti_stored(number: int, world: World) -> None:
    sample = next(s for s in SAMPLES if s.get("json") == number and "job_result" in s)
    (stored,) = json.loads((FACTS / "queue" / f"job-{number}").read_text())["ops"]

    await world.ask(
        sample["method"], sample["path"], body=sample["body"], headers=sample["request_headers"]
    )

    (ours,) = world.submitted()
    theirs = stored["input"]
    ((source, text, _),) = ours.pop("reason")
    assert [source, text] == theirs.pop("reason")[0][:2]
    chosen_later = {"instance_uuid", "node_uuid", "iallocator"}
    assert {k: theirs[k] for k in ours if k not in chosen_later} == {
        k: v for k, v in ours.items() if k not in chosen_later
    }
