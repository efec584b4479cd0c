"""What a person has in the cluster, as they know it: what must be there when all is well again."""

from __future__ import annotations

from typing import Literal

from attrs import define, field

Template = Literal["sharedfile", "file", "diskless"]


@define
class OwnInstance:
    """An instance as its owner left it."""

    template: Template
    runs: bool
    memory_mib: int
    tags: set[str] = field(factory=set)
    doubtful: bool = False
    """Nobody knows what has become of it: a job said that it could go neither on nor back, or a
    submission that cannot be told from a second one was not answered. A person would look."""


@define
class OwnGroup:
    """A node group as its owner left it."""

    spindles: int | None = None
    tags: set[str] = field(factory=set)


@define
class OwnNetwork:
    """A network as its owner left it."""

    connected: bool = False
    tags: set[str] = field(factory=set)


@define
class Belongings:
    """All that belongs to one person; their names begin with the person's."""

    instances: dict[str, OwnInstance] = field(factory=dict)
    groups: dict[str, OwnGroup] = field(factory=dict)
    networks: dict[str, OwnNetwork] = field(factory=dict)
    cluster_tags: set[str] = field(factory=set)
    unsure_tags: set[str] = field(factory=set)
    """Of the cluster; whether they are there depends on a submission that was not answered."""

    def usable(self) -> list[str]:
        """Return the instances of which is known what they are."""
        return [name for name, each in self.instances.items() if not each.doubtful]

    def doubt(self, name: str) -> None:
        """Note that nobody knows what has become of an instance."""
        self.instances.setdefault(name, OwnInstance("diskless", False, 0)).doubtful = True
