"""``/metrics``, judged by the parser of Prometheus' own client."""

import math

import pytest
import trio
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.unit.daemons.mond.mond_world import Node, TableInstances, guest
from typing_extensions import override

from gantry.core.openmetrics import CONTENT_TYPE, Family, Sample, render
from gantry.daemons.mond.proc_files import DISKSTATS
from gantry.protocols.identity import Epoch, NodeUuid
from gantry.protocols.records import Index
from gantry.protocols.replication import (
    LEADING,
    STREAMS,
    Leading,
    StreamFigures,
    VoterFigures,
    leading_socket,
)
from gantry.runtime.http.messages import Request, Target
from gantry.runtime.rpc import serve
from gantry.runtime.testing.environment import memory_environment

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # theirs
        for sample in family.samples
    }


def value(values: Values, name: str, **labels: str) -> float:
    (found,) = [
        number
        for (each, has), number in values.items()
        if each == name and labels.items() <= dict(has).items()
    ]
    return found


async def scrape(node: Node) -> Values:
    response = await node.api().handle(Request("GET", Target.of("/metrics")))
    assert (response.status, response.content_type) == (200, CONTENT_TYPE)
    assert isinstance(response.body, bytes)
    return parsed(response.body.decode())


async def test_the_node_and_its_instances() -> None:
    node = Node(instances=TableInstances((guest("web", "running"), guest("db", "crashed"))))

    values = await scrape(node)

    assert value(values, "gantry_node_cpu_seconds_total", cpu="1", mode="user") == 2.0
    assert value(values, "gantry_node_memory_bytes", kind="available") == 700 * 1024
    assert value(values, "gantry_node_disk_written_bytes_total", device="sda") == 4096 * 512
    assert value(values, "gantry_node_load1") == 0.25
    assert value(values, "gantry_instance_cpu_seconds_total", instance="web") == 12.5
    assert value(values, "gantry_instance_memory_bytes", instance="db") == 128 * 1024 * 1024
    state = {"gantry_instance_state": "running"}
    assert value(values, "gantry_instance_state", instance="web", **state) == 1
    assert value(values, "gantry_instance_state", instance="db", **state) == 0
    assert value(values, "gantry_collector_up", collector="diskstats") == 1
    assert all(value(values, "gantry_mond_source_up", source=s) for s in ("cpu", "instances"))


async def test_a_failing_source_is_missing_and_named() -> None:
    node = Node(instances=TableInstances(None))
    node.put(DISKSTATS, "nonsense\n")

    values = await scrape(node)

    ups = {
        s: value(values, "gantry_mond_source_up", source=s) for s in ("cpu", "disks", "instances")
    }
    assert ups == {"cpu": 1, "disks": 0, "instances": 0}
    assert not any(name.startswith("gantry_node_disk") for name, _ in values)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.floats(allow_nan=False) | st.integers(-(2**60), 2**60),
        max_size=5,
    )
)
def test_what_is_rendered_parses_back(samples: dict[str, float]) -> None:
    family = Family(
        "a_b", "gauge", 'a\\b\n"c"', tuple(Sample(v, {"l": k}) for k, v in samples.items())
    )

    values = {key: float(number) for key, number in parsed(render([family])).items()}

    assert values == {("a_b", frozenset({("l", k)})): float(v) for k, v in samples.items()}


def test_not_a_number() -> None:
    ((_, found),) = parsed(render([Family("a", "gauge", "", (Sample(math.nan),))])).items()
    assert math.isnan(found)


@pytest.mark.parametrize("bad", ["", "1a", "a-b"])
def test_names_are_checked(bad: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Family(bad, "gauge", "", ())


FIGURES = StreamFigures(
    stream="config",
    epoch=Epoch(3),
    index=Index(120),
    committed=Index(118),
    lease_age_seconds=1.5,
    has_lease=True,
    alone_since=None,
    flushes=10,
    records_appended=40,
    batch_records_max=16,
    bytes_written=4096,
    file_bytes=2048,
    messages=20,
    snapshots=1,
    voters=(
        VoterFigures(NodeUuid("b"), lag=2, silent_seconds=0.5),
        VoterFigures(NodeUuid("c"), lag=None, silent_seconds=None),
    ),
)


class CannedLeader(Leading):
    """Leads a stream as a test wants it."""

    def __init__(self, figures: StreamFigures) -> None:
        self.canned = figures

    @override
    async def figures(self) -> StreamFigures:
        await trio.lowlevel.checkpoint()
        return self.canned


async def test_the_masters_logs() -> None:
    node = Node()
    env = memory_environment("node1.gnt.test", node.files, network=node.network)
    async with trio.open_nursery() as nursery:
        for stream in STREAMS:
            path = env.paths.socket(leading_socket(stream))
            listener = await node.network.listen_unix(path, 0o666)
            leader = CannedLeader(evolve(FIGURES, stream=stream))
            nursery.start_soon(serve, LEADING, leader, listener)
        values = await scrape(node)
        nursery.cancel_scope.cancel()

    for stream in STREAMS:
        assert value(values, "gantry_replication_epoch", stream=stream) == 3
        assert value(values, "gantry_replication_index", stream=stream) == 120
        assert value(values, "gantry_replication_lease_age_seconds", stream=stream) == 1.5
        assert value(values, "gantry_replication_flushes_total", stream=stream) == 10
        assert value(values, "gantry_replication_records_total", stream=stream) == 40
        lag = "gantry_replication_candidate_lag_records"
        assert value(values, lag, stream=stream, uuid="b") == 2
        assert not [labels for name, labels in values if name == lag and ("uuid", "c") in labels]
    assert value(values, "gantry_mond_source_up", source="replication") == 1


@pytest.mark.parametrize(("master", "up"), [("node2.gnt.test", 1), ("node1.gnt.test", 0)])
async def test_where_nobody_leads(master: str, up: int) -> None:
    node = Node()
    env = memory_environment("node1.gnt.test", node.files)
    node.files.put(env.paths.data / "ssconf_master_node", f"{master}\n".encode())
    values = await scrape(node)
    assert value(values, "gantry_mond_source_up", source="replication") == up
    assert not [name for name, _ in values if name.startswith("gantry_replication")]
