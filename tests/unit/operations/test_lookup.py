"""People shorten names; what is meant must be clear."""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.unit.operations.twin_cluster import sample_state

from gantry.core.config.selection import select
from gantry.operations.lookup import find_instance, find_node
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.wconfd import Selection


def test_the_first_components_of_a_name_are_enough() -> None:
    part = select(sample_state(), Selection(nodes=("node1",), instances=("INST1.gnt",)))
    assert find_node(part, "node1").name == "node1.gnt.test"
    assert find_instance(part, "INST1.gnt").name == "inst1.gnt.test"


def test_a_part_of_a_component_is_not() -> None:
    part = select(sample_state(), Selection(nodes=("nod", "")))
    assert not part.nodes
    with pytest.raises(OpPrereqError, match="'nod' is not known"):
        find_node(part, "nod")


def test_what_could_mean_two_is_refused_with_both() -> None:
    state = sample_state()
    part = select(state, Selection(nodes="all"))
    first, second, *_ = part.nodes.values()
    twins = {
        "a": evolve(first, name="twin.one.test", uuid=NodeUuid("a")),
        "b": evolve(second, name="twin.two.test", uuid=NodeUuid("b")),
    }
    both = evolve(part, nodes=twins)
    with pytest.raises(OpPrereqError, match=r"ambiguous: twin\.one\.test, twin\.two\.test"):
        find_node(both, "twin")
