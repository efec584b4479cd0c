"""Values that must not be seen: private ones are kept, secret ones are not even stored."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from attrs import field, frozen

T = TypeVar("T")

REDACTED: Final = "<redacted>"
"""What stands in the place of a secret wherever it is written."""


@frozen
class Private(Generic[T]):
    """A value that no log and no repr shows; files hold it in clear text."""

    value: T = field(repr=lambda _: "...")


@frozen
class Secret(Generic[T]):
    """A value that lives in memory only: written anywhere, it reads :data:`REDACTED`."""

    value: T = field(repr=lambda _: "...")

    @property
    def is_lost(self) -> bool:
        """Whether this is what was read back from a file: only the sign that there was one."""
        return self.value == REDACTED
