"""Backend parameters: what an instance gets, whatever its hypervisor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from attrs import frozen

from gantry.protocols.parameters.parameter_set import (
    BadParameter,
    Edits,
    ParameterSet,
    parse_edits,
)
from gantry.protocols.values import Json, Mebibytes, NonNegative, Positive

MEMORY: Final = "memory"
"""Users may give this for the lower and the upper limit of memory at once."""


@frozen(kw_only=True)
class BackendParameters(ParameterSet):
    """What an instance gets."""

    SUBJECT: ClassVar[str] = "backend parameters"

    minmem: Mebibytes = 128
    """The least memory that it can live with."""
    maxmem: Mebibytes = 128
    """The memory with which it starts if there is enough."""
    vcpus: Positive = 1
    auto_balance: bool = True
    """Whether balancing and the check for spare memory count it."""
    always_failover: bool = False
    """Whether it is stopped for every move, since it can not be migrated."""
    spindle_use: NonNegative = 1

    def __attrs_post_init__(self) -> None:
        if self.maxmem < self.minmem:
            reason = f"must be at least minmem, {self.minmem} MiB, got {self.maxmem} MiB"
            raise BadParameter(self.SUBJECT, "maxmem", self.maxmem, reason)


def parse_beparams(given: Mapping[str, Json]) -> Edits:
    """Parse what a user wants changed in backend parameters.

    Raises:
        BadParameter: a parameter does not exist or can not have the value.
    """
    spread = {name: value for name, value in given.items() if name != MEMORY}
    if MEMORY in given:
        spread = {"minmem": given[MEMORY], "maxmem": given[MEMORY], **spread}
    return parse_edits(BackendParameters, spread)
