"""Names of things, and the keys that make doing something again do nothing."""

from __future__ import annotations

import re
from typing import Final, NewType

from attrs import field, frozen, validators
from typing_extensions import override

JobId = NewType("JobId", int)
ClusterUuid = NewType("ClusterUuid", str)
NodeUuid = NewType("NodeUuid", str)
GroupUuid = NewType("GroupUuid", str)
InstanceUuid = NewType("InstanceUuid", str)
DiskUuid = NewType("DiskUuid", str)
NicUuid = NewType("NicUuid", str)
NetworkUuid = NewType("NetworkUuid", str)
FilterUuid = NewType("FilterUuid", str)
LeftoverUuid = NewType("LeftoverUuid", str)

Epoch = NewType("Epoch", int)
"""The reign of one master; a promotion begins the next."""

Attempt = NewType("Attempt", int)
"""The how-manieth process works on a job; the first is 1."""


_JOB_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
"""In 18 digits there is room for all jobs that ever were."""


def job_id_of(value: int | str) -> JobId | None:
    """Read a job id, which may be given as digits; ``None`` if no job can have it."""
    if isinstance(value, str):
        value = int(value) if _JOB_ID.fullmatch(value) else 0
    return JobId(value) if 0 < value < 10**18 else None


@frozen(order=True)
class Key:
    """What a change is for: one step (or its undo) of one opcode of one job."""

    job: JobId
    opcode: int = field(validator=validators.ge(0))
    step: int = field(validator=validators.ge(0))
    undo: bool = False

    @override
    def __str__(self) -> str:
        return f"{self.job}/{self.opcode}/{self.step}{'/undo' if self.undo else ''}"


@frozen
class Ticket:
    """What every changing call carries: its key, who asks, and a digest of what is asked.

    The same key with the same digest is answered with the first result; with another digest it
    is refused. An older attempt or epoch than the newest one seen is refused.
    """

    key: Key
    attempt: Attempt
    epoch: Epoch
    digest: str
    redo: bool = False
    """Do it again if it was interrupted or has failed: the caller knows, and its kind allows it."""
