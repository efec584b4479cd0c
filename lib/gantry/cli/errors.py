"""What can go wrong in a command: one sentence for the user and an exit code.

Failures of the server keep Ganeti's class name and arguments, because how they are phrased and
which exit code they give depends on the class (see :func:`describe`).
"""

from __future__ import annotations

from collections.abc import Sequence

from gantry.cli import exit_codes


class CommandError(Exception):
    """A command can not do what it was asked to; the text says what to do next."""

    def __init__(self, text: str, exit_code: int = exit_codes.FAILURE) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


class UsageError(CommandError):
    """An option is unknown, or its value is malformed."""

    def __init__(self, text: str) -> None:
        super().__init__(text, exit_codes.USAGE)


class ConfirmationNeeded(CommandError):
    """A question had to be asked, but nobody is there to answer it."""

    def __init__(self, question: str, option: str) -> None:
        super().__init__(
            f"{question}\nThere is no terminal to confirm this on; give {option} if you mean it.",
            exit_codes.CONFIRMATION_NEEDED,
        )


class Unreachable(CommandError):
    """LuxiD could not be reached, or went away before it answered."""


class PeerMisuse(CommandError):
    """LuxiD answered something that is not LUXI."""

    def __init__(self, what: str) -> None:
        super().__init__(f"LuxiD gave an answer that is not understood: {what}; see its log")


class Detached(CommandError):
    """The user stopped waiting (Ctrl-C); the jobs go on."""

    def __init__(self, jobs: Sequence[int]) -> None:
        plural = "s" if len(jobs) > 1 else ""
        verb = "go on" if len(jobs) > 1 else "goes on"
        numbers = ", ".join(map(str, jobs))
        commands = "\n".join(f"  gnt-job watch {job}" for job in jobs)
        super().__init__(
            f"Detached: job{plural} {numbers} {verb} without you. To follow again:\n{commands}"
        )
        self.jobs = tuple(jobs)


class ServerFailure(CommandError):
    """LuxiD, or a job, failed with one of Ganeti's errors.

    ``class_name`` is ``None`` if the server gave only a text.
    """

    def __init__(self, class_name: str | None, arguments: Sequence[object]) -> None:
        code = exit_codes.USAGE if class_name == "ConfigurationError" else exit_codes.FAILURE
        super().__init__(describe(class_name, arguments), code)
        self.class_name = class_name
        self.arguments = tuple(arguments)


def server_failure(result: object) -> ServerFailure:
    """Decode what a failed call or opcode left: ``[class, [arguments]]`` or a text."""
    match result:
        case [str() as class_name, [*arguments]]:
            return ServerFailure(class_name, arguments)
        case _:
            return ServerFailure(None, [result])


_PHRASES = {
    "OpExecError": "Failure: command execution error:\n{}",
    "ConfigurationError": "The cluster's configuration is not usable: {}",
    "ConfigVersionMismatch": "The configuration has version {1}, but {0} is expected",
    "HypervisorError": "Failure: hypervisor: {}",
    "JobLost": "The job was lost: {}; it was archived or never existed (see gnt-job list)",
    "JobCanceled": "{}",
    "JobQueueDrainError": (
        "The job queue is drained and takes no new jobs; to open it: gnt-cluster queue undrain"
    ),
    "JobQueueFull": "The job queue is full; archive finished jobs: gnt-job autoarchive 1d",
    "ParameterError": "Failure: wrong parameter: {}",
    "QueryFilterParseError": "The filter is not understood: {}",
    "ResolverError": "Failure: the name {0} can not be resolved: {2}",
    "HooksFailure": "Failure: hooks could not be run: {}",
    "TagError": "Failure: tags: {}",
}
"""How the errors that have a phrase of their own are told; the rest is told by the last lines
of :func:`describe`. Numbered braces are the error's arguments."""


def describe(class_name: str | None, arguments: Sequence[object]) -> str:
    """Tell an error of Ganeti's hierarchy to a person."""
    match class_name, list(arguments):
        case "OpPrereqError", [text, code]:
            return (
                "Failure: prerequisites not met for this operation:\n"
                f"error type: {code}, error details:\n{text}"
            )
        case "OpPrereqError", [text]:
            return f"Failure: prerequisites not met for this operation:\n{text}"
        case "HooksAbort", [[*failures]]:
            return _describe_hooks(failures)
        case str() as name, values if name in _PHRASES:
            try:
                return _PHRASES[name].format(*values)
            except IndexError:
                return f"{name}: {', '.join(map(str, values))}"
        case None, [text]:
            return f"The request was refused: {text}"
        case None, values:
            return f"Failure: {values}"
        case name, [text]:
            return f"Unhandled error {name}: {text}" if not text else f"Failure: {text}"
        case name, values:
            return f"Failure: {name} {values}"


def _describe_hooks(failures: Sequence[object]) -> str:
    lines = ["Failure: hooks refused the operation:"]
    for failure in failures:
        match failure:
            case [node, script, output]:
                lines.append(f"  node: {node}, script: {script}, output: {output or '(none)'}")
            case other:
                lines.append(f"  {other}")
    return "\n".join(lines)
