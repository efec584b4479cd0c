"""Calls of nodes' NodeDs, made again while a NodeD restarts: how long, and what is said then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from typing_extensions import override

from gantry.protocols.codec import Json
from gantry.protocols.errors import ConnectionLost, Unreachable
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import NODED
from gantry.protocols.objects.node import Node
from gantry.protocols.service import Call, Method, Service
from gantry.runtime.node_links import UNREACHABLE_SECONDS_MAX, NodeLinks
from gantry.runtime.real import real_environment

LOST = ConnectionLost("it went away")
AWAY = Unreachable("nobody listens")
NODE = NodeUuid("a0000000-0000-4000-8000-000000000001")


class Scripted(NodeLinks):
    """Links to a node of which a script says when it answers."""

    def __init__(self, *script: tuple[float, Exception | None]) -> None:
        async def find(_: NodeUuid) -> Node:
            await trio.lowlevel.checkpoint()
            return Node.__new__(Node)  # nothing looks at it

        super().__init__(real_environment({}), find)
        self.script = list(script)

    @override
    async def _way_to(
        self, node: Node, deadline_seconds: float, service: Service[Any] = NODED
    ) -> Call:
        async def way(_name: str, _method: Method, _args: Mapping[str, object]) -> object:
            seconds, problem = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            await trio.sleep(seconds)
            if problem is not None:
                raise problem
            return None

        return way

    async def delay(self) -> Json:
        return await self.call(NODE, "delay", {}, 3600.0)


async def test_a_restart_after_a_long_call_has_all_the_patience(autojump_clock: object) -> None:
    links = Scripted((600, LOST), (2, AWAY), (2, AWAY), (0, None))
    assert await links.delay() is None


async def test_a_node_that_was_never_asked_is_unreachable(autojump_clock: object) -> None:
    began = trio.current_time()
    with pytest.raises(Unreachable):
        await Scripted((0, AWAY)).delay()
    assert trio.current_time() - began > UNREACHABLE_SECONDS_MAX


async def test_a_node_that_may_have_acted_is_lost(autojump_clock: object) -> None:
    with pytest.raises(ConnectionLost, match="nobody listens") as caught:
        await Scripted((0, LOST), (0, AWAY)).delay()
    assert not isinstance(caught.value, Unreachable)


async def test_a_late_answer_is_none(autojump_clock: object) -> None:
    with pytest.raises(ConnectionLost, match="no answer within 3600 s"):
        await Scripted((4000, None)).delay()
