"""NIC parameters: how a network interface is connected."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from gantry.protocols.objects.vocabulary import NicMode
from gantry.protocols.parameters.parameter_set import ParameterSet


@frozen(kw_only=True)
class NicParameters(ParameterSet):
    """How a network interface is connected."""

    SUBJECT: ClassVar[str] = "NIC parameters"

    mode: NicMode = "bridged"
    link: str = "xen-br0"
    """A bridge, an Open vSwitch, or a routing table."""
    vlan: str = ""
    """For Open vSwitch: ``.10`` an untagged VLAN, ``:10:20`` a trunk."""
