"""Opcodes that change nothing: they show that the machinery works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from attrs import frozen

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.secrecy import Secret
from gantry.protocols.opcodes.vocabulary import (
    DiskTemplate,
    EvacuationMode,
    Hypervisor,
    NicParameters,
)
from gantry.protocols.values import Json, NonEmpty, NonNegative

AllocatorMode = Literal[
    "allocate",
    "allocate-secondary",
    "change-group",
    "multi-allocate",
    "node-evacuate",
    "relocate",
]


@frozen(kw_only=True)
class OpTestDelay(Opcode):
    """Wait, on the master or on nodes."""

    duration: float
    """In seconds."""
    on_master: bool = True
    on_nodes: tuple[NonEmpty, ...] = ()
    on_node_uuids: tuple[NonEmpty, ...] | None = None
    repeat: NonNegative = 0
    """How many more times than once; each says so in the job's log."""
    interruptible: bool = False
    """Open a socket through which the wait can be ended early."""
    no_locks: bool = True
    """Whether it takes no locks; else the nodes are locked."""

    SUMMARY: ClassVar[str | None] = "duration"


@frozen(kw_only=True)
class OpTestAllocator(Opcode):
    """Show an allocator's input, or run it and show its output."""

    direction: Literal["in", "out"]
    mode: AllocatorMode
    name: NonEmpty
    nics: tuple[NicParameters, ...] | None = None
    disks: tuple[Json, ...] | None = None
    hypervisor: Hypervisor | None = None
    iallocator: NonEmpty | None = None
    tags: tuple[NonEmpty, ...] = ()
    memory: NonNegative | None = None
    """In MiB."""
    vcpus: NonNegative | None = None
    os: NonEmpty | None = None
    disk_template: DiskTemplate | None = None
    instances: tuple[NonEmpty, ...] | None = None
    evac_mode: EvacuationMode | None = None
    target_groups: tuple[NonEmpty, ...] | None = None
    spindle_use: NonNegative = 1
    count: NonNegative = 1
    group_name: NonEmpty | None = None

    SUMMARY: ClassVar[str | None] = "iallocator"


@frozen(kw_only=True)
class OpTestJqueue(Opcode):
    """Exercise the job queue: report phases, write to the log, fail."""

    notify_waitlock: bool = False
    notify_exec: bool = False
    log_messages: tuple[str, ...] = ()
    fail: bool = False


@frozen(kw_only=True)
class OpTestDummy(Opcode):
    """A value for tests of the queue; there is no operation for it."""

    result: Json
    messages: Json
    fail: Json
    submit_jobs: Json


@frozen(kw_only=True)
class OpTestOsParams(Opcode):
    """Show that secret OS parameters reach the job process and nothing else."""

    osparams_secret: Mapping[str, Secret[Json]] | None = None
