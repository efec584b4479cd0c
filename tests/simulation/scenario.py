"""What happens in one run, drawn from its seed: how many nodes, what is wanted, what breaks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, get_args

from attrs import evolve, frozen
from tests.simulation.world import Chance

Kind = Literal[
    "kill luxid",
    "kill wconfd",
    "kill noded",
    "kill rconfd",
    "kill fork server",
    "kill job",
    "node dark",
    "master dark",
    "link cut",
    "node cut off",
    "master cut off",
    "slow network",
    "connections reset",
    "clients reset",
    "disk full",
    "disk error",
    "clock jump",
    "script fails",
    "cancel",
    "priority",
    "drain",
    "archive",
    "failover",
]
"""What can go wrong, and what a person can do in the middle of it."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

LARGE: Final[frozenset[Kind]] = frozenset({"failover", "node cut off", "master cut off"})
"""Each run has at least one of these."""

OFTEN: Final[tuple[Kind, ...]] = ("kill job", "kill job", "kill luxid", "kill wconfd", "kill noded")

JOBS: Final = (62, 80)
FAULTS: Final = (16, 24)
SECONDS: Final = 240.0
"""How long things are wanted and break."""

NODES: Final = (3, 3, 3, 4, 4, 5, 5, 6, 8, 10)

INSTANCES: Final = 12


@frozen
class Fault:
    """Something that breaks, or that a person does."""

    number: int
    """What it draws its details from: it does the same whatever other faults there are."""
    kind: Kind
    seconds: float
    """When, from the moment when the cluster is up."""

    def text(self) -> str:
        """Return the fault in one line."""
        return f"{self.number}: {self.kind} at {self.seconds:.1f} s"


@frozen
class Scenario:
    """One run."""

    seed: int
    nodes: int
    jobs: int
    faults: tuple[Fault, ...]
    seconds: float = SECONDS
    instances: int = INSTANCES
    """How many instances people have at the most: few of them are wanted by many jobs at once."""

    @property
    def by_kind(self) -> Counter[str]:
        """How many faults of each kind there are."""
        return Counter(fault.kind for fault in self.faults)

    def with_faults(self, faults: Sequence[Fault]) -> Scenario:
        """Return the same run with other faults."""
        return evolve(self, faults=tuple(faults))


def scenario_of(seed: int) -> Scenario:
    """Draw a run."""
    chance = Chance(seed).source("scenario")
    kinds = [chance.choice((*KINDS, *OFTEN)) for _ in range(chance.randint(*FAULTS))]
    if not LARGE & {*kinds}:
        kinds[0] = chance.choice(sorted(LARGE))
    moments = sorted(chance.uniform(0.0, SECONDS) for _ in kinds)
    chance.shuffle(kinds)
    faults = tuple(map(Fault, range(len(kinds)), kinds, moments))
    return Scenario(seed, chance.choice(NODES), chance.randint(*JOBS), faults)


def quiet(seed: int, jobs: int = 20, nodes: int = 3) -> Scenario:
    """Return a run in which nothing breaks."""
    return Scenario(seed, nodes, jobs, (), 60.0)


def chance_of(scenario: Scenario, purpose: str) -> random.Random:
    """Return a source of randomness for a purpose."""
    return Chance(scenario.seed).source(purpose)
