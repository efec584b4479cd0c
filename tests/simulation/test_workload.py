"""The workload is a mix of all that the product can do; what is added later is not forgotten."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

from tests.simulation import interventions, people
from tests.simulation.wishes import ALLOCATOR, WISHES, Known

from gantry.operations.registry import OPERATIONS
from gantry.protocols.luxi import Luxi

NEVER_WANTED: Final = {
    "OP_CLUSTER_DESTROY": "after it there is nothing left to look at; tests/cluster does it",
}

DRAWS: Final = 60
"""A wish that chooses among opcodes has shown all of them by then."""

NEVER_ASKED: Final = {
    "pickup_job": "the product refuses it always",
    "query_exports": "there is no operation yet that makes an export",
}

HERE: Final = Path(people.__file__).parent


def known() -> Known:
    """Return what people know of some cluster."""
    there = {"inst1.gantry.test": "file"}
    nodes = ["node1.gantry.test", "node2.gantry.test"]
    return Known(nodes, random.Random(1), 9, there, networks=["net1"], spares=["node3.gantry.test"])


def test_every_operation_is_wanted_by_somebody() -> None:
    wanted = {wish(known())["OP_ID"] for _, wish in WISHES.values() for _ in range(DRAWS)}
    assert wanted | {*NEVER_WANTED} == {*OPERATIONS}


def test_what_is_never_wanted_is_no_wish() -> None:
    wanted = {wish(known())["OP_ID"] for _, wish in WISHES.values()}
    assert not wanted & {*NEVER_WANTED}


def test_every_call_of_luxi_is_made_by_somebody() -> None:
    calls = {name for name in vars(Luxi) if not name.startswith("_")}
    text = "".join(path.read_text() for path in HERE.glob("*.py") if path != Path(__file__))
    made = {name for name in calls if re.search(rf"\bluxi\.{name}\b", text)}
    assert made | {*NEVER_ASKED} == calls
    assert not made & {*NEVER_ASKED}


def test_the_allocator_that_is_wanted_is_there() -> None:
    assert ALLOCATOR
    assert interventions.FILTERED
