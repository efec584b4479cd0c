"""What nodes are asked for a query: all at once, within one deadline, and each for itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import orjson
import trio
from attrs import define, field
from tests.unit.core.query.test_recorded_queries import INST2, LIVE, NODE1, NODE2, NODE3
from tests.unit.daemons.luxid.luxid_bench import SAMPLES

from gantry.core.query.engine import plan_query
from gantry.core.query.live import LiveData
from gantry.core.query.view import View
from gantry.daemons.luxid.live import LIVE_SECONDS_MAX, Inquiry
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import NodeD, NodeInfo
from gantry.protocols.objects.configuration import load_configuration
from gantry.protocols.objects.node import Node
from gantry.protocols.query import parse_query
from gantry.protocols.runtime_types import ConsoleAccess, InstanceRuntime, InstanceSpec
from gantry.runtime.node_links import NodeLinks

T = TypeVar("T")

ANSWER_SECONDS: Final = 3.0


@define
class RecordedNode:
    """A node that says what it was recorded saying, after some time."""

    uuid: NodeUuid

    async def info(self, hypervisors: tuple[str, ...]) -> NodeInfo:
        await trio.sleep(ANSWER_SECONDS)
        found = LIVE.nodes[self.uuid].info
        assert found is not None
        return found

    async def instances(self, hypervisors: tuple[str, ...]) -> tuple[InstanceRuntime, ...]:
        await trio.sleep(ANSWER_SECONDS)
        return tuple(LIVE.nodes[self.uuid].instances or ())

    async def exports(self) -> tuple[str, ...]:
        await trio.sleep(ANSWER_SECONDS)
        return tuple(LIVE.nodes[self.uuid].exports or ())

    async def console(self, instance: InstanceSpec) -> ConsoleAccess:
        await trio.sleep(ANSWER_SECONDS)
        return LIVE.consoles[instance.uuid]


@define
class Links:
    """Ways to the recorded nodes, of which some are silent and some are not there."""

    silent: frozenset[NodeUuid] = frozenset()
    gone: frozenset[NodeUuid] = frozenset()
    asked: list[NodeUuid] = field(factory=list)

    async def ask_at(
        self, node: Node, question: Callable[[NodeD], Awaitable[T]], deadline_seconds: float
    ) -> T:
        self.asked.append(node.uuid)
        if node.uuid in self.silent:
            await trio.sleep_forever()
        if node.uuid in self.gone:
            raise ConnectionLost(f"{node.name} is gone")
        return await question(cast(NodeD, RecordedNode(node.uuid)))


def recorded_view() -> View:
    return View(load_configuration(orjson.loads((SAMPLES / "config.data").read_bytes())))


async def found(links: Links, what: str, *fields: str) -> tuple[list[list[object]], float]:
    """Return the rows of a query and how long the nodes were waited for."""
    view, began = recorded_view(), trio.current_time()
    chosen = plan_query(parse_query(what, fields, None), view, {}).chosen()
    live: LiveData = await Inquiry(view, cast(NodeLinks, links)).ask(chosen.needs)
    cells = chosen.cells(live)
    return [list(map(list, row)) for row in cells], trio.current_time() - began


async def test_all_nodes_are_asked_at_once(autojump_clock: trio.abc.Clock) -> None:
    links = Links()
    rows, seconds = await found(links, "node", "name", "mfree")
    assert rows == [
        [[0, "node1.gnt.test"], [0, 6975]],
        [[0, "node2.gnt.test"], [0, 23023]],
        [[0, "node3.gnt.test"], [0, 23039]],
    ]
    assert sorted(links.asked) == sorted([NODE1, NODE2, NODE3])
    assert seconds == ANSWER_SECONDS


async def test_a_silent_node_costs_its_own_fields(autojump_clock: trio.abc.Clock) -> None:
    rows, seconds = await found(Links(silent=frozenset({NODE2})), "node", "name", "mfree")
    assert [row[1] for row in rows] == [[0, 6975], [2, None], [0, 23039]]
    assert seconds == LIVE_SECONDS_MAX
    rows, _ = await found(Links(gone=frozenset({NODE1})), "instance", "name", "status", "os")
    assert rows == [
        [[0, "inst1.gnt.test"], [0, "ERROR_nodedown"], [0, "noop"]],
        [[0, "inst2.gnt.test"], [0, "ERROR_nodedown"], [0, "noop"]],
        [[0, "tmpl.gnt.test"], [0, "running"], [0, "noop"]],
    ]


async def test_a_node_that_is_gone_is_not_waited_for(autojump_clock: trio.abc.Clock) -> None:
    links = Links(gone=frozenset({NODE1, NODE2, NODE3}))
    rows, seconds = await found(links, "export", "node", "export")
    assert [row[1] for row in rows] == [[2, None]] * 3
    assert seconds == 0


async def test_exports_and_consoles_are_asked_for(autojump_clock: trio.abc.Clock) -> None:
    rows, _ = await found(Links(), "export", "node", "export")
    assert rows[0] == [[0, "node1.gnt.test"], [0, "inst2.gnt.test"]]
    rows, _ = await found(Links(silent=frozenset({NODE2})), "instance", "uuid", "console")
    shown = {row[0][1]: row[1][0] for row in cast("list[list[list[object]]]", rows)}
    assert shown[INST2] == 0
    assert 3 in shown.values()


async def test_what_is_in_memory_is_asked_of_nobody(autojump_clock: trio.abc.Clock) -> None:
    links = Links()
    _, seconds = await found(links, "instance", "name", "pnode", "be/maxmem", "hvparams")
    assert (links.asked, seconds) == ([], 0)
