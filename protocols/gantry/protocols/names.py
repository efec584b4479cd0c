"""Names of nodes and instances, which people shorten."""

from __future__ import annotations


def is_short_for(short: str, name: str) -> bool:
    """Whether a name is meant by its first components: ``web1`` is ``web1.example.com``."""
    return bool(short) and name.startswith(short.lower() + ".")
