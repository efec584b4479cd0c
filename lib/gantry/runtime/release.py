"""What this program is, as clients made for Ganeti want to know it."""

from __future__ import annotations

import platform
import sys

from gantry.core.query.cluster import Release


def this_release() -> Release:
    """Return the Ganeti release whose behaviour is offered, and this machine's architecture."""
    bits = "64bits" if sys.maxsize > 2**32 else "32bits"
    return Release("3.0.2", "(ganeti) version 3.0.2", (bits, platform.machine()))
