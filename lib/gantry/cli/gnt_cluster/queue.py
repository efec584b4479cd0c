"""``gnt-cluster queue`` and ``watcher``: two switches."""

from __future__ import annotations

import time

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError
from gantry.cli.invocation import Invocation
from gantry.cli.option_values import parse_time_span


def run_queue(call: Invocation) -> int:
    """Close the job queue to new jobs, keep jobs from beginning, undo that, or say how it is."""
    [action] = call.arguments
    match action:
        case "info":
            drained, paused = call.client.query_config_values(["drain_flag", "queue_paused"])
            call.say(f"The drain flag is {'set' if drained else 'unset'}")
            if paused:
                call.say("The queue is paused: no job begins until gnt-cluster queue resume")
        case "pause" | "resume":
            call.client.call("SetQueuePause", action == "pause")
        case _:
            call.client.call("SetDrainFlag", action == "drain")
    return exit_codes.SUCCESS


def run_watcher(call: Invocation) -> int:
    """Pause the watcher, let it continue, or say which it is."""
    action, *rest = call.arguments
    if action == "pause":
        if not rest:
            raise CommandError("Failure: say for how long, such as 30m or 4h")
        try:
            until = time.time() + parse_time_span(rest[0])
        except ValueError as error:
            raise CommandError(f"Failure: {error}") from None
        _tell(call, call.client.call("SetWatcherPause", until))
    elif action == "continue":
        call.client.call("SetWatcherPause", None)
        call.say("The watcher is no longer paused.")
    else:
        [paused_until] = call.client.query_config_values(["watcher_pause"])
        _tell(call, paused_until)
    return exit_codes.SUCCESS


def _tell(call: Invocation, until: object) -> None:
    if isinstance(until, (int, float)) and not isinstance(until, bool):
        call.say(f"The watcher is paused until {time.ctime(until)}.")
    else:
        call.say("The watcher is not paused.")


COMMANDS = (
    Command(
        "queue",
        run_queue,
        (Arguments("choice", 1, 1, ("drain", "undrain", "pause", "resume", "info")),),
        notes=(
            "A drained queue takes no new jobs; those that it has begin and end as usual.\n"
            "In a paused queue no job begins; new ones are taken, running ones go on.\n"
            "pause and resume are additions to what Ganeti has.\n"
        ),
    ),
    Command(
        "watcher",
        run_watcher,
        (
            Arguments("choice", 1, 1, ("pause", "continue", "info")),
            Arguments("suggest", 0, 1, ("30m", "1h", "4h")),
        ),
    ),
)
