"""A left-over: what a job had to leave on a node that it could not reach.

Ganeti has no such thing. It is kept under our own key of ``config.data``, so that nothing is
forgotten when the job is: whoever next works on that object there cleans it up first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from gantry.protocols.codec import Json
from gantry.protocols.identity import JobId, Key, LeftoverUuid, NodeUuid
from gantry.protocols.objects.wire import ConfigObject

LeftoverOf = Literal["cluster", "node", "instance", "disk"]
"""The kinds of things that a node may still have a part of."""


@frozen(kw_only=True)
class Leftover(ConfigObject):
    """Something on a node that should not be there, and the call that removes it.

    The call is complete: it takes no result of another step and no secret. It is made again
    until the node has answered it, so that its method must be one that may be repeated.
    """

    node: NodeUuid
    object_kind: LeftoverOf
    object_name: str
    """Of what it is a part. The object itself may be gone, or never have come to be."""
    method: str
    """A changing method of NodeD."""
    args: Mapping[str, Json] = field(repr=False)
    deadline_seconds: float
    key: Key
    """The undo that could not be done, or the step that owes it or may still be at work."""
    reason: str
    """Why it could not, for a person to read."""
    ctime: float = 0.0
    mtime: float = 0.0
    uuid: LeftoverUuid
    serial_no: int

    @property
    def job(self) -> JobId:
        """The job that left it behind."""
        return self.key.job
