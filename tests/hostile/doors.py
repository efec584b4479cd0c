"""The table of all doors: both kinds of fuzzers, and the test that none is missing, read it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.hostile import datagrams, meaning, programs, sockets, stored, web
from tests.hostile.door import Door

DOORS: Final[Mapping[str, Door]] = MappingProxyType(
    {
        door.name: door
        for module in (sockets, web, datagrams, stored, programs, meaning)
        for door in module.DOORS
    }
)
