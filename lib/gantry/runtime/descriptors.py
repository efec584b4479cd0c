"""How many files and connections a daemon may have open, and how many of those clients may have."""

from __future__ import annotations

import resource
from typing import Final

DESCRIPTORS_MAX: Final = 8192
"""So far the soft limit is raised if the hard one allows it: more connections than that need more
memory than a node spares, and programs that we start inherit it, some of which walk through all."""

DESCRIPTORS_USUAL: Final = 1024
"""What a process has that nobody gave more (getrlimit(2))."""

RESERVED: Final = 256
"""Kept for the daemon itself: files, logs, listeners, and its connections to other daemons, of
which RapiD has the most, 64."""


def raise_limit() -> int:
    """Raise this process's soft limit as far as makes sense; return how many it shall use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    usable = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < usable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usable, hard))
    return usable


def connections_max(descriptors: int) -> int:
    """Return how many connections a server may hold in a process with so many descriptors.

    Each needs one. Where there are few, clients have half of them.
    """
    return max(descriptors - RESERVED, descriptors // 2)
