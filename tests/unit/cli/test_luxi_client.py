"""The blocking LUXI client against a real socket: resends, timeouts, malformed answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.unit.cli.fake_luxid import FakeLuxid, HangUp, Refusal, Sample

from gantry.cli.errors import CommandError, PeerMisuse, ServerFailure, Unreachable
from gantry.cli.luxi import ANSWER_BYTES_MAX, LuxiClient, Patience


class Waits:
    """Keeps how long the client slept and what it said, without sleeping."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.notices: list[str] = []


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def client(luxid: FakeLuxid, waits: Waits) -> Iterator[LuxiClient]:
    client = LuxiClient(luxid.path, notify=waits.notices.append, sleep=waits.pauses.append)
    yield client
    client.close()


def test_a_call_is_framed_as_ganetis_client_does(client: LuxiClient, luxid: FakeLuxid) -> None:
    luxid.answers["QueryConfigValues"] = lambda arguments: arguments[0]
    assert client.query_config_values(["cluster_name"]) == ["cluster_name"]
    assert luxid.requests == [
        {"method": "QueryConfigValues", "args": [["cluster_name"]], "version": 3000000}
    ]


def test_one_connection_serves_many_calls(client: LuxiClient, luxid: FakeLuxid) -> None:
    luxid.answers["ArchiveJob"] = lambda arguments: arguments[0] == 1
    assert [client.call("ArchiveJob", job) for job in (1, 2, 1)] == [True, False, True]
    assert len(luxid.requests) == 3


def test_what_an_answer_says_beside_its_result_is_told_once(
    client: LuxiClient, luxid: FakeLuxid, waits: Waits
) -> None:
    luxid.extra = {"warnings": ["the master goes on alone"]}
    luxid.answers["ArchiveJob"] = True
    luxid.answers["QueryTags"] = Refusal(["OpPrereqError", ["Unknown node", "unknown_entity"]])
    assert client.call("ArchiveJob", 1) is True
    with pytest.raises(ServerFailure):
        client.call("QueryTags", "node", "x")
    assert waits.notices == ["Warning: the master goes on alone"]
    assert client.warnings == ["the master goes on alone"]


def test_a_structured_error_keeps_class_and_code(client: LuxiClient, luxid: FakeLuxid) -> None:
    luxid.answers["QueryTags"] = Refusal(["OpPrereqError", ["Unknown node", "unknown_entity"]])
    with pytest.raises(ServerFailure) as caught:
        client.call("QueryTags", "node", "x")
    assert caught.value.class_name == "OpPrereqError"
    assert "error type: unknown_entity, error details:\nUnknown node" in caught.value.text


def test_a_plain_error_is_told(client: LuxiClient, luxid: FakeLuxid) -> None:
    luxid.answers["Query"] = Refusal("Failed to parse request: no such method")
    with pytest.raises(ServerFailure, match="refused: Failed to parse request"):
        client.call("Query")


def test_a_broken_connection_is_tried_again_with_the_same_bytes(
    client: LuxiClient, luxid: FakeLuxid, waits: Waits
) -> None:
    luxid.answers["SubmitJob"] = [HangUp(), HangUp(), 7]
    opcode: dict[str, object] = {"OP_ID": "OP_TEST_DELAY", "reason": [["gnt:client:x", "y", 123]]}
    assert client.submit_job([opcode]) == 7
    assert waits.pauses == [5.0, 10.0]
    assert luxid.requests[0] == luxid.requests[1] == luxid.requests[2]
    assert "trying again in 5 s" in waits.notices[0]


def test_after_fifteen_tries_the_client_gives_up(
    client: LuxiClient, luxid: FakeLuxid, waits: Waits
) -> None:
    luxid.answers["SubmitJob"] = lambda _: HangUp()
    with pytest.raises(Unreachable, match="broke"):
        client.submit_job([])
    assert len(luxid.requests) == 15
    assert waits.pauses == [5.0 * n for n in range(1, 15)]


def test_a_server_that_does_not_answer_is_given_up_and_not_asked_twice(luxid: FakeLuxid) -> None:
    luxid.answers["SubmitJob"] = b"[1"
    client = LuxiClient(luxid.path, patience=Patience(answer_seconds=0.05))
    with pytest.raises(Unreachable, match="may still be done"):
        client.submit_job([])
    assert len(luxid.requests) == 1
    client.close()


def test_nobody_listening_is_waited_for_as_long_as_ganeti_does(
    tmp_path: Path, waits: Waits
) -> None:
    client = LuxiClient(
        str(tmp_path / "none"), notify=waits.notices.append, sleep=waits.pauses.append
    )
    with pytest.raises(Unreachable, match="is LuxiD running"):
        client.call("QueryClusterInfo")
    assert waits.pauses == [1.0] * 30
    assert len(waits.notices) == 1


def test_nobody_listening_for_a_reason_ends_at_once(tmp_path: Path, waits: Waits) -> None:
    def not_master() -> None:
        raise CommandError("not the master", 11)

    client = LuxiClient(str(tmp_path / "none"), before_retry=not_master, sleep=waits.pauses.append)
    with pytest.raises(CommandError, match="not the master"):
        client.call("QueryClusterInfo")
    assert waits.pauses == []


@pytest.mark.parametrize(
    "answer",
    [
        b"not json\x03",
        b"[]\x03",
        b'{"success": true}\x03',
        b'{"success": 1, "result": 1}\x03',
        b'{"success": true, "result": 1, "version": 2000000}\x03',
        b'{"success": true, "result": 1}\x03{"success": true, "result": 2}',
        b"\xff\xfe\x03",
    ],
)
def test_what_is_not_luxi_is_refused(client: LuxiClient, luxid: FakeLuxid, answer: bytes) -> None:
    luxid.answers["QueryClusterInfo"] = answer
    with pytest.raises(PeerMisuse):
        client.call("QueryClusterInfo")


def test_an_endless_answer_is_cut_off(client: LuxiClient, luxid: FakeLuxid) -> None:
    luxid.answers["QueryClusterInfo"] = b" " * (ANSWER_BYTES_MAX + 1)
    with pytest.raises(PeerMisuse, match="larger than"):
        client.call("QueryClusterInfo")


@pytest.mark.parametrize("result", [True, "7", None, [1]])
def test_a_job_id_is_a_number(client: LuxiClient, luxid: FakeLuxid, result: object) -> None:
    luxid.answers["SubmitJob"] = lambda _: result
    with pytest.raises(PeerMisuse, match="job id"):
        client.submit_job([])


def test_every_real_answer_to_a_query_is_understood(
    client: LuxiClient, luxid: FakeLuxid, luxi_samples: dict[str, Sample]
) -> None:
    queries = [sample for name, sample in luxi_samples.items() if name.startswith("query_all")]
    results = [cast("Sample", sample["response"]) for sample in queries]
    good = [cast("dict[str, list[object]]", each["result"]) for each in results if each["success"]]
    luxid.answers["Query"] = list(good)
    for result in good:
        assert len(client.query("instance", []).rows) == len(result["data"])
    assert len(good) >= 5
