"""The ``ndp/...`` fields that nodes and node groups share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from gantry.core.query.fields import Field, present
from gantry.core.query.view import Filled
from gantry.protocols.query import Cell, Kind

Row = TypeVar("Row")

PARAMETERS: Final[tuple[tuple[str, str, Kind, str], ...]] = (
    ("cpu_speed", "ndp/cpu_speed", "float", "Speed of the processors, relative to other nodes"),
    ("exclusive_storage", "ExclusiveStorage", "bool", "Whether disks never share a spindle"),
    ("oob_program", "OutOfBandProgram", "other", "Program that switches the node's power"),
    ("ovs", "OpenvSwitch", "bool", "Whether Open vSwitch connects the instances"),
    ("ovs_link", "OpenvSwitchLink", "other", "Interface that the virtual switch leads to"),
    ("ovs_name", "OpenvSwitchName", "other", "Name of the virtual switch"),
    ("spindle_count", "SpindleCount", "number", "Number of spindles of the node's storage"),
    ("ssh_port", "ndp/ssh_port", "number", "TCP port of the SSH server"),
)
"""Name, column title, kind and what it is."""


def parameter_fields(filled: Callable[[Row], Filled]) -> Iterator[Field[Row]]:
    """Yield one field for each node parameter, given where a row keeps them."""
    for name, title, kind, doc in PARAMETERS:
        yield Field(f"ndp/{name}", title, kind, doc, _reader(filled, name))


def _reader(filled: Callable[[Row], Filled], name: str) -> Callable[[Row], Cell]:
    return lambda row: present(filled(row).get(name))
