"""What ``info`` commands print, compared with what Ganeti printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import pytest
import yaml
from tests.unit.cli.fake_luxid import Command, FakeLuxid, Sample

from gantry.cli.gnt_cluster.program import PROGRAM as CLUSTER
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.cli.gnt_job.info import FIELDS
from gantry.cli.gnt_job.program import PROGRAM as JOB
from gantry.cli.gnt_node.program import PROGRAM as NODE

pytestmark = pytest.mark.usefixtures("utc")

NOT_BY_QUERY = re.compile(r" +(access mode|logical_id|on primary): .*\n")
"""Lines of Ganeti's that come from a job, which this command does not run."""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gnt-instance info inst2.gnt.test", ("info", "inst2.gnt.test")),
        ("gnt-instance info --all -s", ("info", "--all", "-s")),
    ],
)
def test_an_instance_is_described_as_in_ganeti(
    command: Command,
    sampled_queries: FakeLuxid,
    printed: dict[str, Sample],
    line: str,
    words: tuple[str, ...],
) -> None:
    ended = command(INSTANCE, *words)
    assert ended.out == NOT_BY_QUERY.sub("", str(printed[line]["stdout"]))
    assert ended.code == 0


@pytest.mark.parametrize("words", [("info",), ("info", "--all", "inst1")])
def test_either_names_or_all_is_needed(
    command: Command, luxid: FakeLuxid, words: tuple[str, ...]
) -> None:
    ended = command(INSTANCE, *words)
    assert (ended.code, luxid.requests) == (1, [])
    assert "--all" in ended.err


def test_a_node_is_described_as_in_ganeti(
    command: Command, sampled_queries: FakeLuxid, printed: dict[str, Sample]
) -> None:
    ended = command(NODE, "info", "node1.gnt.test")
    assert ended.out == printed["gnt-node info node1.gnt.test"]["stdout"]


def test_the_cluster_is_described_as_in_ganeti(
    command: Command,
    luxid: FakeLuxid,
    printed: dict[str, Sample],
    luxi_samples: dict[str, Sample],
) -> None:
    answer = cast("Sample", luxi_samples["cluster_info"]["response"])["result"]
    luxid.answers["QueryClusterInfo"] = lambda _: answer
    expected = str(printed["gnt-cluster info"]["stdout"])
    # The object was asked for at another moment than the command.
    changed = re.compile(r"^Modification time: .*$", re.MULTILINE)
    assert changed.sub("", command(CLUSTER, "info").out) == changed.sub("", expected)
    assert json.loads(command(CLUSTER, "info", "--format=json").out) == answer


def test_versions_are_printed_as_in_ganeti(
    command: Command,
    luxid: FakeLuxid,
    printed: dict[str, Sample],
    luxi_samples: dict[str, Sample],
) -> None:
    answer = cast("Sample", luxi_samples["cluster_info"]["response"])["result"]
    luxid.answers["QueryClusterInfo"] = lambda _: answer
    assert command(CLUSTER, "version").out == printed["gnt-cluster version"]["stdout"]


def _job_row(job: dict[str, object]) -> list[object]:
    """Return a job file's content as a row of QueryJobs."""
    ops = cast("list[dict[str, object]]", job["ops"])
    values = {
        "id": job["id"],
        "status": "success",
        "ops": [op["input"] for op in ops],
        "opresult": [op["result"] for op in ops],
        "opstatus": [op["status"] for op in ops],
        "oplog": [op["log"] for op in ops],
        "opstart": [op["start_timestamp"] for op in ops],
        "opexec": [op["exec_timestamp"] for op in ops],
        "opend": [op["end_timestamp"] for op in ops],
        "received_ts": job["received_timestamp"],
        "start_ts": job["start_timestamp"],
        "end_ts": job["end_timestamp"],
    }
    return [values.get(field) for field in FIELDS]  # of ours: as for an archived job


def test_a_job_is_described_as_in_ganeti(
    command: Command, luxid: FakeLuxid, printed: dict[str, Sample]
) -> None:
    text = str(printed["gnt-job info 395"]["stdout"])
    read = yaml.safe_load(
        text.replace("Content: [", "Content: '[")
        .replace("config]", "config]'")
        .replace("...]", "...]'")
    )[0]
    opcode = read["Opcodes"][0]
    arguments = {key: _value(value) for key, value in opcode["Input fields"].items()}
    log = [
        [
            [
                int(part) if part.isdigit() else part
                for part in entry["Content"].strip("[]").split(", ", 2)
            ],
            entry["Time"],
        ]
        for entry in opcode["Execution log"]
    ]
    row = _job_row(
        {
            "id": 395,
            "received_timestamp": [1795250173, 951995],
            "start_timestamp": [1795250174, 232078],
            "end_timestamp": [1795250175, 53445],
            "ops": [
                {
                    "input": arguments,
                    "status": "success",
                    "result": ["node3.gnt.test"],
                    "log": [
                        [serial, _stamp(time), kind, payload]
                        for (serial, kind, payload), time in log
                    ],
                    "start_timestamp": [1795250174, 232078],
                    "exec_timestamp": [1795250174, 335140],
                    "end_timestamp": [1795250175, 53434],
                }
            ],
        }
    )
    luxid.answers["QueryJobs"] = lambda _: [row]
    assert command(JOB, "info", "395").out == text


def _value(value: object) -> object:
    """Undo YAML: what is empty there was an empty collection, and None is a word."""
    match value:
        case None:
            return {}
        case "None":
            return None
        case [[*entries], *_] as trail if len(entries) == 3:
            return [
                ["" if part is None else part for part in entry]
                for entry in cast("list[list[object]]", trail)
            ]
        case [None]:
            return [{}]
        case other:
            return other


def _stamp(text: object) -> list[int]:
    from datetime import UTC, datetime

    moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
    moment = moment.replace(tzinfo=UTC)
    return [int(moment.timestamp()), moment.microsecond]


def test_a_job_that_is_not_known_is_described_as_in_ganeti(
    command: Command, luxid: FakeLuxid, printed: dict[str, Sample]
) -> None:
    luxid.answers["QueryJobs"] = lambda _: [[999999, *([None] * (len(FIELDS) - 1))]]
    ended = command(JOB, "info", "999999")
    assert ended.out == printed["gnt-job info 999999"]["stdout"]


def test_the_masters_name_is_known_on_every_node(
    command: Command, cluster_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANETI_HOSTNAME", "node2")
    assert command(CLUSTER, "getmaster") == (0, "node1\n", "")


def test_master_ping_tells_by_its_exit_code(command: Command, luxid: FakeLuxid) -> None:
    assert command(CLUSTER, "master-ping").code == 1
    luxid.answers["QueryClusterInfo"] = lambda _: {"name": "c"}
    assert command(CLUSTER, "master-ping") == (0, "", "")
