"""MonD's answers compared with those that Ganeti's gave."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.daemons.mond.mond_world import Node
from typing_extensions import override

from gantry.daemons.mond.collector import Collector
from gantry.protocols.codec import Json
from gantry.protocols.mond import ROUTES, CollectorInfo, markdown
from gantry.runtime.http.messages import Request, Target

SAMPLES = json.loads((Path(__file__).parents[3] / "facts" / "samples" / "mond.json").read_text())

OF_ITS_MACHINE = {"/1/report/all", "/1/report/storage/diskstats", "/1/report/storage/drbd"}
"""Where the recorded server failed for want of files on its machine."""

NOT_OURS = {"/1/report/default/xen-cpu-avg-load", "/1/report/storage/lv"}
"""Collectors that are not there yet."""


class Measuring(Collector):
    """Has the data that the recorded collector had."""

    info = CollectorInfo("cpu-avg-load", None, 0)

    @override
    async def sample(self) -> None: ...

    @override
    async def data(self) -> Json:
        return {"cpu_number": 2, "cpus": [0.25, 0.5], "cpu_total": 0.75}


@pytest.mark.parametrize(
    "sample",
    [each for each in SAMPLES if each["path"] not in OF_ITS_MACHINE | NOT_OURS],
    ids=lambda each: f"{each['method']} {each['path']}",
)
async def test_answers(sample: dict[str, Any]) -> None:
    node = Node()
    api = node.api()
    api.collectors[:] = node.running(Measuring())  # type: ignore[index]  # a list, as made above

    response = await api.handle(Request(sample["method"], Target.of(sample["path"])))

    assert response.status == sample["status"]
    assert isinstance(response.body, bytes)
    if "json" not in sample:
        if sample["method"] == "GET":
            assert response.body.decode() == sample["text"]
        return
    assert response.content_type is None
    assert "content-type" not in sample["headers"]
    ours, theirs = json.loads(response.body), sample["json"]
    if sample["path"] == "/1/list/collectors":
        assert ours == [each for each in theirs if each[0] == "cpu-avg-load"]
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        assert list(ours["data"]) == list(theirs["data"])
        for key in ("name", "version", "format_version", "category", "kind"):
            assert ours[key] == theirs[key]
    else:
        assert ours == theirs


def test_the_table_is_documentation() -> None:
    assert markdown().count("\n") == len(ROUTES.routes) + 1
