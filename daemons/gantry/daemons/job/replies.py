"""Answers that come in by another call than the question went out."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio
from attrs import define, field

K = TypeVar("K")
V = TypeVar("V")


@define
class Replies(Generic[K, V]):
    """Values that somebody waits for, by key; a second value for a key changes nothing."""

    _values: dict[K, V] = field(factory=dict, init=False)
    _waiting: dict[K, trio.Event] = field(factory=dict, init=False)

    def give(self, key: K, value: V) -> None:
        """Answer whoever waits for this key, now or later."""
        self._values.setdefault(key, value)
        if key in self._waiting:
            self._waiting.pop(key).set()

    async def wait(self, key: K) -> V:
        """Wait for a key's value."""
        if key not in self._values:
            await self._waiting.setdefault(key, trio.Event()).wait()
        return self._values[key]
