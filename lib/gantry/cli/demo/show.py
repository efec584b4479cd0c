"""Run commands as a person would, and show them."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from attrs import frozen

COMMAND_SECONDS_MAX: Final = 150.0
LOOK_SECONDS: Final = 0.1
"""How often something is looked at that nobody announces: a file that a guest writes."""

T = TypeVar("T")


class DemoFailed(Exception):
    """Something that the demo promises did not happen."""


@frozen
class Shell:
    """A shell on the cluster's master."""

    variables: Mapping[str, str]

    def run(self, *argv: str, fails: bool = False) -> str:
        """Show and run a command; return its output.

        Raises:
            DemoFailed: it failed (or, with ``fails``, it did not).
        """
        print(f"\n$ {shlex.join(argv)}", flush=True)
        ended = subprocess.run(
            argv,
            env=dict(self.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
            text=True,
        )
        print(ended.stdout.rstrip(), flush=True)
        if bool(ended.returncode) != fails:
            raise DemoFailed(f"{argv[0]} {argv[1]} ended with status {ended.returncode}")
        return ended.stdout


def wait_for(what: str, look: Callable[[], T | None], seconds: float) -> T:
    """Look until there is something.

    Raises:
        DemoFailed: there was nothing in that time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(LOOK_SECONDS)
    raise DemoFailed(f"{what} did not happen within {seconds:g} seconds")


def tell(text: str) -> None:
    """Say what comes next."""
    print(f"\n--- {text}", flush=True)
