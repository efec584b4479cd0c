"""Names of instances."""

from __future__ import annotations

import re
from typing import Final

from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError

NAME: Final = re.compile(r"[a-z0-9_.-]{1,255}")
"""What Ganeti takes for a host name, in lower case."""


async def check_instance_name(world: World, name: str, *, resolve: bool) -> str:
    """Return the name in lower case.

    Raises:
        OpPrereqError: it is no host name, or it is to resolve and does not.
    """
    lowered = name.lower()
    if not NAME.fullmatch(lowered) or lowered.startswith((".", "-")):
        raise OpPrereqError(f"{name[:80]!r} is not a valid host name for an instance")
    if resolve:
        await world.resolve(lowered)
    return lowered
