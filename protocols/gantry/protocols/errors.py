"""The one hierarchy of errors that travel between processes.

Every class carries typed fields and renders one sentence: what happened, to which object, and
what to do next. :class:`ServiceError` and its children are declared by protocol methods and
cross the wire; :class:`GanetiError` and its children are Ganeti's, with Ganeti's encoding
``[class name, [arguments]]`` in LUXI answers and opcode results.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen
from typing_extensions import override


class GantryError(Exception):
    """Base of everything that Gantry raises on purpose."""


class ServiceError(GantryError):
    """Base of the errors that a protocol method may declare; children are frozen classes."""

    @override
    def __str__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """Say what happened, to which object, and what to do next."""
        return repr(self)


@frozen
class BadCall(ServiceError):
    """The peer broke the protocol: unknown method, wrong names or types. Nothing was done."""

    method: str
    message: str

    @override
    def sentence(self) -> str:
        return f"{self.method}: {self.message}"


class ConnectionLost(GantryError):
    """The peer went away before it answered: whether it acted is unknown."""


class Unreachable(ConnectionLost):
    """The peer was never asked: nothing was sent, so certainly nothing was done."""


@frozen
class Forbidden(ServiceError):
    """The caller may not do that; nothing was done."""

    method: str
    reason: str

    @override
    def sentence(self) -> str:
        return f"{self.method} is not allowed: {self.reason}"


@frozen
class VersionMismatch(ServiceError):
    """Two ends speak no common version of a protocol; nothing was done."""

    protocol: str
    client_versions: tuple[int, int]
    server_versions: tuple[int, int]

    @override
    def sentence(self) -> str:
        return (
            f"the client speaks {self.protocol} {shown_versions(self.client_versions)}, "
            f"the server {shown_versions(self.server_versions)}: upgrade the older one"
        )


def shown_versions(versions: tuple[int, int]) -> str:
    """Render a range of versions: ``1``, or ``1-2``."""
    lowest, highest = versions
    return str(lowest) if lowest == highest else f"{lowest}-{highest}"


@frozen
class Fault(ServiceError):
    """The server failed while it did what was asked; its log has the traceback."""

    text: str

    @override
    def sentence(self) -> str:
        return self.text


# --- errors that stop a job process at once, without undo, journal record or release ---------


@frozen
class StaleAttempt(ServiceError):
    """A newer attempt of the same job has taken over."""

    job: int
    attempt: int
    newest: int

    @override
    def sentence(self) -> str:
        return f"job {self.job}: attempt {self.attempt} was replaced by attempt {self.newest}"


@frozen
class StaleEpoch(ServiceError):
    """The caller acts for a master that has been replaced."""

    epoch: int
    newest: int

    @override
    def sentence(self) -> str:
        return f"epoch {self.epoch} is over: the cluster is in epoch {self.newest}"


@frozen
class NoLease(ServiceError):
    """The master does not hold its lease; nothing may be changed now."""

    @override
    def sentence(self) -> str:
        return "the master holds no lease; wait until a majority of candidates answers"


@frozen
class KeyConflict(ServiceError):
    """A key was used again for a different request."""

    key: str

    @override
    def sentence(self) -> str:
        return f"key {self.key} was already used for a different request; this is a defect"


# --- Ganeti's errors ---------------------------------------------------------------------------

ErrorCode = Literal[
    "resolver_error",
    "insufficient_resources",
    "temp_insufficient_resources",
    "wrong_input",
    "wrong_state",
    "unknown_entity",
    "already_exists",
    "resource_not_unique",
    "internal_error",
    "environment_error",
]


class GanetiError(GantryError):
    """An error that Ganeti's clients know by class name and argument list."""

    @property
    def encoded(self) -> list[object]:
        """The form ``[class name, [arguments]]`` of LUXI answers and opcode results."""
        return [type(self).__name__, list(self.args)]

    @override
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class GenericError(GanetiError):
    """Any failure without a better class; ``args`` is ``(text,)``."""


class OpPrereqError(GanetiError):
    """A check before execution failed; ``args`` is ``(text, code)``. Nothing was changed."""

    def __init__(self, text: str, code: ErrorCode = "wrong_input") -> None:
        super().__init__(text, code)


class OpExecError(GanetiError):
    """An opcode failed while it was executed; ``args`` is ``(text,)``."""


class ConfigurationError(GanetiError):
    """The cluster's configuration is missing, broken or refuses a change."""


class ParameterError(GanetiError):
    """A query's filter does not fit the fields that it names."""


class HooksAbort(GanetiError):
    """A pre-hook failed; ``args`` is ``([[node, script, output], ...],)``."""


class JobLost(GanetiError):
    """The job does not exist (any more)."""


class JobQueueDrainError(GanetiError):
    """The queue takes no new jobs."""


class JobQueueFull(GanetiError):
    """The queue holds as many jobs as it may; ``args`` is empty."""


GANETI_ERRORS: dict[str, type[GanetiError]] = {
    cls.__name__: cls
    for cls in (
        GenericError,
        OpPrereqError,
        OpExecError,
        ConfigurationError,
        ParameterError,
        HooksAbort,
        JobLost,
        JobQueueDrainError,
        JobQueueFull,
    )
}
