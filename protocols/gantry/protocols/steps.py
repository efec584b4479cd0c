"""Plans: what an opcode will do, as data.

An operation checks once and makes its *plan*: the ordered steps with every chosen value. The
plan is the first record of the opcode's journal. A step says what it does and how that is
undone (or why it is not), and its *kind* says what happens to it after a crash:

=============  ===================================================================
idempotent     it is run again
checked        its check is asked whether it happened, then it is skipped or run
compensated    it is undone and run again
once           nobody guesses: a person decides
=============  ===================================================================

Since actions are data, a fresh process can repeat or undo what another one began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NewType

from attrs import field, frozen

from gantry.protocols.changes import Change
from gantry.protocols.codec import Json, dump, load
from gantry.protocols.identity import Attempt, Key, NodeUuid
from gantry.protocols.jobs import Choice
from gantry.protocols.locks import Held
from gantry.protocols.runtime_types import InstanceState
from gantry.protocols.wconfd import Want

StepName = NewType("StepName", str)

Kind = Literal["idempotent", "checked", "compensated", "once"]
"""What an interrupted step needs: to be run again; to be looked at; to be taken back by its node
and run again; or a person's decision."""


@frozen
class NodeCall:
    """Call a changing method of a node's NodeD; made by :func:`gantry.protocols.noded.call`.

    The ticket is filled in when the call is made. ``results`` maps parameters to earlier steps
    whose results they take; ``secrets`` names the parameter that takes the job's secret OS
    parameters, which live in memory only and so can not be part of a plan.
    """

    node: NodeUuid
    method: str
    args: Mapping[str, Json]
    results: Mapping[str, StepName] = field(factory=dict)
    secrets: str | None = None
    deadline_seconds: float = 300.0


@frozen
class Commit:
    """Change the configuration."""

    change: Change


@frozen
class Delay:
    """Wait on the master."""

    seconds: float


@frozen
class RunHooks:
    """Run a hooks directory on some nodes; pre-hooks may refuse, post-hooks only warn."""

    path: str
    phase: Literal["pre", "post"]
    nodes: tuple[NodeUuid, ...]
    environment: Mapping[str, str]


@frozen
class SubmitJobs:
    """Submit jobs (lists of opcodes in their JSON form); the result is ``[[true, id], ...]``."""

    jobs: tuple[tuple[Mapping[str, Json], ...], ...]


@frozen
class Say:
    """Add a line to the job's log."""

    text: str


@frozen
class TakeBack:
    """Do what another job could not undo, under that undo's own key: what never was stays so."""

    key: Key
    call: NodeCall


Action = NodeCall | Commit | Delay | RunHooks | SubmitJobs | Say | TakeBack


@frozen
class NoUndo:
    """Why there is nothing to undo."""

    reason: str


@frozen
class Look:
    """A sign that a checked step has happened: what its instance is like on a node."""

    node: NodeUuid
    hypervisor: str
    instance: str
    states: tuple[InstanceState, ...]
    """It is in one of these."""
    not_since: float | None = None
    """And it was not started at this time: it was started anew."""


@frozen
class Step:
    """One step of a plan."""

    name: StepName
    kind: Kind
    do: Action
    undo: Action | NoUndo
    tolerate: bool = False
    """Whether a failure is logged as a warning and the plan goes on."""
    looks: tuple[Look, ...] = ()
    """Of a checked step: any of these is enough to know that it has happened."""
    otherwise: Json = None
    """Its result if its failure was tolerated, or a person has decided that it be skipped."""
    owed: bool = False
    """Whether a tolerated call that failed is a left-over: it is made when its node answers."""


@frozen
class Plan:
    """The first record of an opcode's journal."""

    operation: str
    """The OP_ID."""
    version: int
    """Raised when the operation's steps change, so that an older plan is recognised."""
    steps: tuple[Step, ...]
    result: Json = None
    """The opcode's result, unless ``result_from`` names the step that gives it."""
    result_from: StepName | None = None
    result_key: str | None = None
    """Wraps that step's result into an object with this one key."""
    results_from: tuple[StepName, ...] = ()
    """If there are any, the opcode's result is a list of these steps' results."""
    no_return: StepName | None = None
    """Once this step is done the plan is only carried on, never undone."""


# --- the step journal of an opcode ------------------------------------------------------------


@frozen
class Holds:
    """What the job holds for an opcode, noted before the opcode changes anything.

    A WConfD that has lost it, or never had it on this node, gives it back to the job.
    """

    opcode: int
    locks: tuple[Held, ...]
    reserved: tuple[Want, ...]


@frozen
class Planned:
    """Checks are done and this is what will happen."""

    opcode: int
    plan: Plan


@frozen
class Started:
    """A step is about to act."""

    opcode: int
    step: int
    attempt: Attempt


@frozen
class Done:
    """A step has acted."""

    opcode: int
    step: int
    result: Json


@frozen
class TurnedBack:
    """From here on the opcode is undone; how it will end is settled already."""

    opcode: int
    status: Literal["canceled", "error"]
    result: Json


@frozen
class Undone:
    """A step's undo has acted, or it had none."""

    opcode: int
    step: int


@frozen
class Leftover:
    """A step's undo failed for good: what stays behind, for a person to read."""

    opcode: int
    step: int
    text: str


@frozen
class Asked:
    """Nobody but a person can know how to go on; the job waits for an answer."""

    opcode: int
    step: int | None
    """``None``: it is about the plan as a whole."""
    question: str
    at: float


@frozen
class Decided:
    """A person has answered what was asked last."""

    opcode: int
    step: int | None
    choice: Choice
    asked_at: float
    """When the question was asked: a later one about the same step needs its own answer."""


StepRecord = Holds | Planned | Started | Done | TurnedBack | Undone | Leftover | Asked | Decided


def dump_record(record: StepRecord) -> Json:
    """Return the JSON form of a step record."""
    return dump(record, StepRecord)


def load_record(payload: Json) -> StepRecord:
    """Parse a step record.

    Raises:
        gantry.protocols.codec.Malformed: the JSON value is none.
    """
    return load(StepRecord, payload)  # type: ignore[arg-type,return-value,no-any-return,unused-ignore] # mypy has no type for a union
