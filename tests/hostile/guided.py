"""One door under the guided fuzzer, in a process of its own: it ends with the process.

``python -m tests.hostile.guided DOOR FOLDER [libFuzzer's options]``. The product is instrumented
while it is imported; an input that reaches something new is put into the folder, and one that
breaks a promise into the file that ``-artifact_prefix`` names.
"""

from __future__ import annotations

import importlib
import logging
import sys
from random import Random
from typing import Any

SKIPPED = ["gantry.runtime.testing"]
"""Twins for tests: nobody wants to reach all of them."""


def main(argv: list[str]) -> None:
    """Fuzz until told to stop."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["gantry", "h11"], exclude=SKIPPED):
        from tests.hostile.doors import DOORS
        from tests.hostile.mutating import mutated
    door = DOORS[argv[1]]
    logging.getLogger().setLevel(logging.ERROR)

    def change(data: bytes, bytes_max: int, seed: int) -> bytes:
        """Make one of our mistakes, or let the fuzzer make one of its own."""
        if Random(seed).random() < 0.5:
            return mutated(bytes(data), seed, door.words)[:bytes_max]
        return bytes(atheris.Mutate(data, len(data)))

    atheris.Setup([argv[0], *argv[2:]], door.take, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
