"""Node parameters."""

from __future__ import annotations

from typing import ClassVar, Final

from attrs import frozen

from gantry.protocols.parameters.parameter_set import ParameterSet
from gantry.protocols.values import NonNegative, PathOrNothing, Port

CLUSTER_WIDE: Final = frozenset({"exclusive_storage"})
"""Parameters in which the nodes of a group can not differ."""


@frozen(kw_only=True)
class NodeParameters(ParameterSet):
    """What is special about a node."""

    SUBJECT: ClassVar[str] = "node parameters"

    oob_program: PathOrNothing = ""
    """A program that powers the node on and off."""
    spindle_count: NonNegative = 1
    exclusive_storage: bool = False
    """Whether no two disks share a physical volume."""
    ovs: bool = False
    """Whether the node has an Open vSwitch."""
    ovs_name: str | None = "switch1"
    ovs_link: str | None = ""
    """The network interface of the node that is plugged into the switch."""
    ssh_port: Port = 22
    cpu_speed: float = 1.0
    """Relative to the other nodes'."""
