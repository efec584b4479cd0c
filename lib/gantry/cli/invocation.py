"""One run of one command: its options and arguments, and the connection to LuxiD."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from gantry.cli.luxi import LuxiClient, Opcode
from gantry.cli.options import Options
from gantry.cli.socket_address import luxi_address, require_master, root_directory
from gantry.cli.standard_options import DEBUG, DRY_RUN, PRIORITIES, PRIORITY, REASON


class OnlyPlanned(Exception):
    """It was a dry run and its plan is printed: the command has nothing more to do."""


class Invocation:
    """What a command is given. The program closes it when the command has returned."""

    def __init__(self, program: str, command: str, options: Options, arguments: list[str]) -> None:
        self.program = program
        self.command = command
        self.options = options
        self.arguments = arguments
        self._client: LuxiClient | None = None

    @property
    def root(self) -> str:
        """The directory below which Ganeti's paths are."""
        return root_directory(os.environ)

    @property
    def client(self) -> LuxiClient:
        """The connection to LuxiD."""
        if self._client is None:
            root = self.root
            self._client = LuxiClient(
                luxi_address(root),
                before_retry=lambda: require_master(root, os.environ),
                notify=self.complain,
            )
        return self._client

    def close(self) -> None:
        """Close the connection to LuxiD, if there is one."""
        if self._client is not None:
            self._client.close()

    def say(self, text: str = "") -> None:
        """Write a line of the result."""
        print(text)

    def complain(self, text: str) -> None:
        """Write a line that is not part of the result."""
        sys.stdout.flush()
        print(text, file=sys.stderr)

    def opcode(
        self, name: str, parameters: Opcode, clock: Callable[[], int] = time.time_ns
    ) -> Opcode:
        """Return an opcode with the parameters that every opcode has.

        The time stamp in its reason trail tells LuxiD a repeated submission from a second one.
        """
        trail: list[list[object]] = []
        if reason := self.options[REASON]:
            trail.append(["gnt:user", reason, clock()])
        trail.append([f"gnt:client:{self.program}", self.command, clock()])
        opcode: Opcode = {"OP_ID": name, **parameters, "reason": trail}
        if self.options[DRY_RUN]:
            opcode["dry_run"] = True
        if self.options[DEBUG]:
            opcode["debug_level"] = self.options[DEBUG]
        if (priority := self.options[PRIORITY]) is not None:
            opcode["priority"] = PRIORITIES[priority]
        return opcode
