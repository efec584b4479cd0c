"""Finding objects by UUID, by name, or by a beginning of the name that no other one has."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field


@define
class Names:
    """The names of all objects of one kind; adding and removing cost what the name is long."""

    _uuids: set[str] = field(factory=set, init=False)
    _whole: dict[str, str] = field(factory=dict, init=False)
    _begun: dict[str, str | set[str]] = field(factory=dict, init=False)
    """UUIDs by each beginning of a name, up to a dot: the only one, or all of several."""

    def add(self, uuid: str, name: str | None) -> None:
        """Add an object; one without a name is found by its UUID alone."""
        self._uuids.add(uuid)
        if name is None:
            return
        self._whole[name] = uuid
        for beginning in _beginnings(name):
            here = self._begun.get(beginning)
            if here is None:
                self._begun[beginning] = uuid
            elif isinstance(here, str):
                self._begun[beginning] = {here, uuid}
            else:
                here.add(uuid)

    def remove(self, uuid: str, name: str | None) -> None:
        """Remove an object that was added with this name."""
        self._uuids.discard(uuid)
        if name is None:
            return
        if self._whole.get(name) == uuid:
            del self._whole[name]
        for beginning in _beginnings(name):
            here = self._begun.get(beginning)
            if here == uuid:
                del self._begun[beginning]
            elif isinstance(here, set):
                here.discard(uuid)
                if len(here) == 1:
                    self._begun[beginning] = here.pop()

    def find(self, text: str) -> str | None:
        """Return the UUID of the object that is meant, if one is."""
        if text in self._uuids:
            return text
        found = self._whole.get(text)
        if found is None:
            begun = self._begun.get(text)
            found = begun if isinstance(begun, str) else None
        return found


def _beginnings(name: str) -> Iterator[str]:
    end = name.find(".")
    while end >= 0:
        yield name[:end]
        end = name.find(".", end + 1)
