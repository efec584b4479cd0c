"""What happens in one run, drawn from its seed: how many nodes, what is wanted, what breaks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

from attrs import evolve, frozen
from tests.simulation.world import Chance

Situation = Literal[
    "node forsaken",
    "rehearsal",
    "removal hounded",
    "migration refused",
    "source lost",
    "target refuses",
    "lease lost",
    "seen afterwards",
    "forgotten at work",
    "told to abort",
    "installer killed",
    "installer hounded",
    "comes and goes",
    "undone elsewhere",
    "there and back",
    "left behind",
    "rush",
    "master lost",
    "locked for long",
    "once more",
    "two halves",
]
"""What people and machines do so that jobs and replicas go where they seldom go."""

LARGER: Final[Mapping[Situation, int]] = {"two halves": 5}
"""How many nodes it takes, if three are too few."""

Usual = Literal[
    "kill luxid",
    "kill wconfd",
    "kill noded",
    "kill rconfd",
    "kill fork server",
    "kill job",
    "kill at the bell",
    "node dark",
    "master dark",
    "all dark",
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
    "node lost",
    "cancel",
    "priority",
    "pause",
    "queue pause",
    "filter",
    "drain",
    "archive",
    "failover",
    "master replaced",
    "lonely candidate",
    "aimed crash",
    "hound a job",
    "kill noded at the bell",
]
Kind = Usual | Situation
"""What can go wrong, and what a person can do in the middle of it."""

AIMED: Final[frozenset[Kind]] = frozenset({"aimed crash", "hound a job", "kill noded at the bell"})
KINDS: Final[tuple[Kind, ...]] = tuple(kind for kind in get_args(Usual) if kind not in AIMED)
"""Those that are drawn; the others hit what those seldom do."""

LARGE: Final[frozenset[Kind]] = frozenset({"node cut off", "master cut off"})
"""Each run has at least one of these; they always come about, other than a failover."""

PARTITIONS: Final = (*sorted(LARGE), "link cut", "master replaced", "lonely candidate")

OFTEN: Final[tuple[Kind, ...]] = ("kill job", "kill job", "kill luxid", "kill wconfd", "kill noded")

JOBS: Final = (72, 92)
FAULTS: Final = (24, 34)

JOBS_MIN: Final = 60
FAULTS_MIN: Final = 15
"""What each run has really had at its end, or it was none: jobs that were acknowledged, faults
that came about."""

MINUTES: Final = 10.0
"""How long a run is at least, in simulated time."""

BUSY_SHARE: Final = 0.75
"""The part of it in which things are wanted and break; in the rest everything settles."""

NODES: Final = (*[3] * 9, *[4] * 5, 5, 5, 5, 6, 8, 10)

SPARES: Final = (0, 0, 1, 1, 2)
"""Machines that are no nodes when a run begins, and may join."""

INSTANCES: Final = 8


SHORT_SECONDS: Final = 120.0
SHORT_JOBS: Final = 50
SHORT_FAULTS: Final = 8
SHORT_INSTANCES: Final = 4
AIMED_OTHERS: Final = 3
AIMED_SURE: Final[tuple[Kind, ...]] = (
    *("cancel", "cancel", "cancel", "script fails", "script fails", "script fails"),
    *("kill at the bell", "kill noded at the bell", "kill noded at the bell"),
    *("hound a job", "hound a job", "hound a job"),
    *("node dark", "node dark", "disk error", "disk full", "pause", "connections reset"),
)
"""What makes jobs go where they seldom go."""
SHORT_SURE: Final[tuple[Kind, ...]] = (
    *("all dark", "master replaced", "kill job", "kill noded", "kill at the bell"),
)


@frozen
class Fault:
    """Something that breaks, or that a person does."""

    number: int
    """What it draws its details from: it does the same whatever other faults there are."""
    kind: Kind
    seconds: float
    """When, from the moment when the cluster is up."""
    point: str = ""
    """What an aimed crash is aimed at."""

    def text(self) -> str:
        """Return the fault in one line."""
        where = f" at {self.point}" if self.point else ""
        return f"{self.number}: {self.kind}{where} at {self.seconds:.1f} s"


@frozen
class Scenario:
    """One run."""

    seed: int
    nodes: int
    jobs: int
    faults: tuple[Fault, ...]
    seconds: float = 60.0 * MINUTES
    """How long it takes at least."""
    spares: int = 0
    """Machines that are no nodes at first."""
    instances: int = INSTANCES
    """How many instances people have at the most: few of them are wanted by many jobs at once."""
    aside: bool = False
    """Whether daemons do longer work in threads."""

    @property
    def busy_seconds(self) -> float:
        """How long things are wanted and break."""
        return self.seconds * BUSY_SHARE

    @property
    def by_kind(self) -> Counter[str]:
        """How many faults of each kind there are."""
        return Counter(fault.kind for fault in self.faults)

    def with_faults(self, faults: Sequence[Fault]) -> Scenario:
        """Return the same run with other faults."""
        return evolve(self, faults=tuple(faults))


def scenario_of(seed: int, minutes: float = MINUTES) -> Scenario:
    """Draw a run."""
    chance = Chance(seed).source("scenario")
    kinds = [chance.choice((*KINDS, *OFTEN)) for _ in range(chance.randint(*FAULTS))]
    if not LARGE & {*kinds}:
        kinds[0] = chance.choice(sorted(LARGE))
    moments = sorted(chance.uniform(0.0, BUSY_SHARE) for _ in kinds)
    chance.shuffle(kinds)
    seconds = 60.0 * minutes
    faults = tuple(
        Fault(number, kind, moment * seconds)
        for number, (kind, moment) in enumerate(zip(kinds, moments, strict=True))
    )
    nodes, jobs = chance.choice(NODES), chance.randint(*JOBS)
    return Scenario(seed, nodes, jobs, faults, seconds, chance.choice(SPARES))


def short(seed: int) -> Scenario:
    """Draw a run that costs little: three nodes, and faults of which each hits something."""
    chance = Chance(seed).source("short scenario")
    kinds = [*SHORT_SURE, *(chance.choice((*KINDS, *OFTEN)) for _ in range(SHORT_FAULTS))]
    chance.shuffle(kinds)
    moments = sorted(chance.uniform(0.0, BUSY_SHARE) for _ in kinds)
    faults = tuple(
        Fault(number, kind, moment * SHORT_SECONDS)
        for number, (kind, moment) in enumerate(zip(kinds, moments, strict=True))
    )
    return Scenario(seed, 3, SHORT_JOBS, faults, SHORT_SECONDS, instances=SHORT_INSTANCES)


def aimed(
    seed: int, points: Sequence[str], situations: Mapping[str, Situation], nodes: int = 3
) -> Scenario:
    """Return a short run with a crash at each of some points, and what makes jobs go astray.

    Args:
        seed: what everything is drawn from.
        points: where processes are to die.
        situations: what has to be done for that, by the point.
        nodes: how many there are.
    """
    chance = Chance(seed).source("aims")
    kinds: list[tuple[Kind, str]] = [(kind, "") for kind in AIMED_SURE]
    kinds += [(chance.choice(KINDS), "") for _ in range(AIMED_OTHERS)]
    kinds += [("aimed crash", point) for point in points]
    faults: list[Fault] = []
    for kind, point in kinds:
        moment = chance.uniform(0.0, BUSY_SHARE) * SHORT_SECONDS
        if point in situations:
            faults.append(Fault(len(faults), situations[point], moment))
        faults.append(Fault(len(faults), kind, moment, point))
    return Scenario(seed, nodes, SHORT_JOBS, tuple(faults), SHORT_SECONDS, spares=1, aside=True)


def situated(seed: int, situation: Situation) -> Scenario:
    """Return a short run in which nothing happens but one situation, twice."""
    moments = (0.2 * SHORT_SECONDS, 0.5 * SHORT_SECONDS)
    faults = tuple(Fault(number, situation, at) for number, at in enumerate(moments))
    nodes = LARGER.get(situation, 3)
    return Scenario(seed, nodes, SHORT_JOBS, faults, SHORT_SECONDS, instances=SHORT_INSTANCES)


def quiet(seed: int, jobs: int = 20, nodes: int = 3) -> Scenario:
    """Return a run in which nothing breaks."""
    return Scenario(seed, nodes, jobs, (), 80.0)


def chance_of(scenario: Scenario, purpose: str) -> random.Random:
    """Return a source of randomness for a purpose."""
    return Chance(scenario.seed).source(purpose)
