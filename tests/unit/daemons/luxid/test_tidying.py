"""Clean-up jobs are submitted when a node answers on which something was left over, once."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from tests.unit.daemons.luxid.luxid_bench import NOW, bench

from gantry.daemons.luxid import tidying
from gantry.protocols.errors import ConnectionLost
from gantry.protocols.identity import JobId, Key, LeftoverUuid, NodeUuid
from gantry.protocols.objects.leftover import Leftover
from gantry.protocols.objects.node import Node
from gantry.protocols.objects.wire import dump_object
from gantry.runtime.node_links import NodeLinks


def left_on(node: str) -> Leftover:
    return Leftover(
        node=NodeUuid(node),
        object_kind="instance",
        object_name="gone.gnt.test",
        method="remove_disk",
        args={"instance": "gone.gnt.test"},
        deadline_seconds=60.0,
        key=Key(JobId(7), 0, 2, undo=True),
        reason="no answer",
        ctime=NOW,
        mtime=NOW,
        uuid=LeftoverUuid("00000000-0000-4000-8000-000000000001"),
        serial_no=1,
    )


async def test_a_node_that_is_back_is_cleaned_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def answers_in_the_end(_: NodeLinks, node: Node, *more: object) -> object:
        asked.append(node.name)
        if len(asked) < 3:
            raise ConnectionLost("nobody listens")
        return None

    monkeypatch.setattr(tidying, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(NodeLinks, "ask_at", answers_in_the_end)
    async with bench(tmp_path) as world:
        nodes = cast("dict[str, dict[str, object]]", world.wconfd.configuration["nodes"])
        uuid, name = next((u, str(n["name"])) for u, n in nodes.items() if "node2" in str(n))
        left = left_on(uuid)
        world.wconfd.configuration["gantry"] = {"leftovers": {left.uuid: dump_object(left)}}
        async with world.running() as client:
            process = await world.launcher.process(1)
            await process.assigned.wait()
            assert process.work is not None
            (opcode,) = process.work.opcodes
            assert (opcode["OP_ID"], opcode["node_name"]) == ("OP_NODE_CLEAN_UP", name)
            assert set(asked) == {name}
            await process.finish()
            for _ in range(100):  # it is looked at again and again
                assert await client.call("QueryJobs", None, ["id"]) == [[1]]
