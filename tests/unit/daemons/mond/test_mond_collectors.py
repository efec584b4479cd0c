"""What the collectors say."""

import json
from pathlib import Path

import attrs
import pytest
import trio
from tests.unit.daemons.mond.mond_world import FixedClock, Node, TableInstances, guest, stat, wanted
from typing_extensions import override

from gantry.daemons.mond.collector import Collector, CollectorFailed
from gantry.daemons.mond.cpu_load import CpuLoad
from gantry.daemons.mond.disk_stats import DiskStatistics
from gantry.daemons.mond.instance_status import InstanceStatus
from gantry.daemons.mond.proc_files import DISKSTATS, STAT, UnknownForm, parse_diskstats, parse_stat
from gantry.protocols.codec import Json
from gantry.protocols.mond import CollectorInfo, CollectorSettings, parse_settings
from gantry.runtime.environment import Environment
from gantry.runtime.http.messages import Request, Target
from gantry.runtime.real import real_environment

LOAD_KEYS = ["cpu_number", "cpus", "cpu_total"]


@pytest.fixture
def node() -> Node:
    return Node()


async def test_load_is_busy_time_over_the_window(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    load = CpuLoad(node.files)
    assert await load.data() == {"error": "not enough samples yet"}
    await load.sample()
    await trio.sleep(10)
    node.put(STAT, stat(600, 450))  # 500 and 250 ticks in 1000
    await load.sample()
    assert await load.data() == {"cpu_number": 2, "cpus": [0.5, 0.25], "cpu_total": 0.75}

    await trio.sleep(595)  # the first sample is older than ten minutes now
    node.put(STAT, stat(600, 450 + 59500))
    await load.sample()
    assert await load.data() == {"cpu_number": 2, "cpus": [0.0, 1.0], "cpu_total": 1.0}


async def test_a_processor_that_comes_begins_anew(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    load = CpuLoad(node.files)
    await load.sample()
    await trio.sleep(5)
    node.put(STAT, stat(1, 1, 1))
    await load.sample()
    assert await load.data() == {"error": "not enough samples yet"}


async def test_the_interval_is_the_clusters(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    (running,) = node.running(CpuLoad(node.files))
    times: list[float] = []
    original = running.collector.sample

    class Noting(Collector):
        info = running.info

        @override
        async def sample(self) -> None:
            times.append(trio.current_time())
            await original()

        @override
        async def data(self) -> Json: ...

    running.collector = Noting()
    began = trio.current_time()
    with trio.move_on_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.run)
            await trio.sleep(12)
            node.settings["cpu-avg-load"] = CollectorSettings(active=False)
    assert [time - began for time in times] == [0, 5, 10]


async def test_diskstats(node: Node) -> None:
    data = await DiskStatistics(node.files).data()

    assert isinstance(data, list)
    assert [each["name"] for each in data] == ["sda", "sda1"]
    assert data[0] == {
        "major": 8, "minor": 0, "name": "sda", "readsNum": 10, "mergedReads": 1, "secRead": 2048,
        "timeRead": 30, "writes": 20, "mergedWrites": 2, "secWritten": 4096, "timeWrite": 40,
        "ios": 0, "timeIO": 50, "wIOmillis": 70,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["8 0", "8 0 sda 1 2 3", "8 0 sda" + " x" * 11])
def test_unknown_forms_are_errors(text: str) -> None:
    with pytest.raises(UnknownForm):
        parse_diskstats(text)
    with pytest.raises(UnknownForm):
        parse_stat(text)


@pytest.fixture
def env(tmp_path: Path, node: Node) -> Environment:
    real = real_environment({"GANTRY_ROOT": str(tmp_path)})
    return attrs.evolve(real, files=node.files, clock=FixedClock(1000.0))


async def test_instance_status(env: Environment, node: Node) -> None:
    trail = [["gnt:user", "for a test", 1]]
    node.files.put(env.paths.run / "instance-reason" / "up", json.dumps(trail).encode())
    instances = TableInstances(
        (guest("up", "running", 400.0), guest("moving", "paused"), guest("ghost", "running")),
        (wanted("up", "up"), wanted("moving", "up"), wanted("off", "down"), wanted("lost", "up")),
    )

    data = await InstanceStatus(env, instances).data()

    assert isinstance(data, dict)
    rows = {row["name"]: row for row in data["instances"]}
    assert rows["up"] == {
        "name": "up", "uuid": "uuid-of-up", "adminState": "up", "actualState": "running",
        "mtime": 1.5, "state_reason": trail, "status": {"code": 0, "message": ""},
        "uptime": "0:10:00",
    }  # fmt: skip
    codes = {name: row["status"]["code"] for name, row in rows.items()}
    assert codes == {"up": 0, "off": 0, "moving": 1, "ghost": 2, "lost": 4}
    assert data["status"] == {"code": 4, "message": "lost is shutdown and should be up"}


async def test_without_a_configuration_states_are_unknown(env: Environment, node: Node) -> None:
    instances = TableInstances((guest("up", "running"),), None)

    data = await InstanceStatus(env, instances).data()

    assert isinstance(data, dict)
    assert data["status"]["code"] == 2
    assert "RConfD: silence" in data["status"]["message"]


class Broken(Collector):
    """Fails, or hangs."""

    info = CollectorInfo("broken", "daemon", 1)

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    @override
    async def sample(self) -> None:
        raise OSError("no such device")

    @override
    async def data(self) -> Json:
        await trio.sleep(self.seconds)
        raise OSError("no such device")


async def test_a_failing_collector_hurts_nobody(node: Node) -> None:
    api = node.api(Broken())

    one = await api.handle(Request("GET", Target.of("/1/report/daemon/broken")))
    everything = await api.handle(Request("GET", Target.of("/1/report/all")))

    assert (one.status, one.body) == (500, b"broken: no such device")
    assert everything.status == 200
    assert isinstance(everything.body, bytes)
    reports = {each["name"]: each for each in json.loads(everything.body)}
    assert reports["broken"]["data"] == {"status": {"code": 2, "message": "no such device"}}
    assert len(reports["diskstats"]["data"]) == 2


async def test_a_hanging_collector_is_given_up(
    node: Node, autojump_clock: trio.testing.MockClock
) -> None:
    (running,) = node.running(Broken(seconds=3600))
    with pytest.raises(CollectorFailed):
        await running.report()
    assert trio.current_time() < 60


async def test_a_collector_that_is_switched_off_is_not_there(node: Node) -> None:
    node.settings["diskstats"] = CollectorSettings(active=False)
    api = node.api()

    listed = await api.handle(Request("GET", Target.of("/1/list/collectors")))
    one = await api.handle(Request("GET", Target.of("/1/report/storage/diskstats")))

    assert listed.body == b'[["cpu-avg-load","default",0]]'
    assert one.status == 404


async def test_a_missing_file_of_the_kernel_is_told(node: Node) -> None:
    await node.files.remove(DISKSTATS)
    one = await node.api().handle(Request("GET", Target.of("/1/report/storage/diskstats")))
    assert one.status == 500


def test_settings_are_parsed_one_by_one() -> None:
    sent = {"a": {"active": False, "interval": 250_000}, "b": {"active": 1}, "c": None}
    assert parse_settings(sent) == {"a": CollectorSettings(False, 0.25)}
    assert parse_settings(["a"]) == {}
