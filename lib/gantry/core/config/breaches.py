"""Saying which rule an object breaks."""

from __future__ import annotations

from gantry.core.config.claims import Stored, kind_of, shown
from gantry.protocols.wconfd import Invariant


def broken(rule: str, stored: Stored, text: str) -> Invariant:
    """Say which rule an object breaks."""
    return Invariant(rule, kind_of(stored), shown(stored), text)
