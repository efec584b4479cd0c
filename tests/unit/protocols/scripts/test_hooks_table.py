"""The hook points against the table of Ganeti 3.0.2."""

import json
from pathlib import Path

from gantry.protocols.scripts.hooks_table import HOOK_POINTS, HookPoint

OPCODES = json.loads((Path(__file__).parents[3] / "facts" / "opcodes.json").read_text())["opcodes"]


def test_the_hook_points_are_those_of_the_table() -> None:
    newer = {"OP_NETWORK_RENAME": HookPoint("network-rename", "NETWORK")}  # of Ganeti 3.1
    assert dict(HOOK_POINTS) == newer | {
        op_id: HookPoint(row["hooks"]["path"], row["hooks"]["object_type"])
        for op_id, row in OPCODES.items()
        if row["hooks"] is not None
    }
