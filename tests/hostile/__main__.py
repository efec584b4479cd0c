"""``python -m tests.hostile``: the guided fuzzer at all doors in turn, or at one.

Inputs that reach something new are kept in ``.fuzz``, so that the next run goes on where this one
ended. One that breaks a promise is printed; when the bug is mended it belongs into the door's file
in ``tests/hostile/corpus``, with a sentence on the bug.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import frozen
from tests.hostile.corpus import keep, kept
from tests.hostile.doors import DOORS

FOLDER: Final = Path(".fuzz")
INPUT_BYTES_MAX: Final = 8192
"""Longer ones are slow and find the same."""

HANG_SECONDS: Final = 20
"""For one input, which takes milliseconds. More is a hang, even on a busy machine."""

MEMORY_MIB_MAX: Final = 2048
"""For one process; one that needs more has no bound."""

ALLOCATION_MIB_MAX: Final = 256
"""At once: thousands of times the longest input."""


@frozen
class Outcome:
    """What became of one door."""

    door: str
    tried: int
    features: int
    broken: tuple[Path, ...]


def fuzz(door: str, seconds: int) -> Outcome:
    """Fuzz one door for some time."""
    inputs, broken = FOLDER / door / "inputs", FOLDER / door / "broken"
    for folder in (inputs, broken):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate((*DOORS[door].seeds(), *kept(door))):
        (inputs / f"seed-{number}").write_bytes(data)
    options = {
        "max_total_time": seconds,
        "max_len": INPUT_BYTES_MAX,
        "timeout": HANG_SECONDS,
        "rss_limit_mb": MEMORY_MIB_MAX,
        "malloc_limit_mb": ALLOCATION_MIB_MAX,
        "artifact_prefix": f"{broken}/",
        "print_final_stats": 1,
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    ended = _run(door, [*flags, str(inputs)])
    (FOLDER / door / "log").write_text(ended)
    tried = _last(r"stat::number_of_executed_units:\s+(\d+)", ended) or _last(r"^#(\d+)", ended)
    return Outcome(door, tried, _last(r" ft: (\d+)", ended), tuple(sorted(broken.iterdir())))


def reduced(door: str) -> list[bytes]:
    """Return the fewest inputs that reach what all found ones do, and the seeds do not."""
    found, least = FOLDER / door / "inputs", FOLDER / door / "least"
    seeds = FOLDER / door / "seeds"
    for folder in (least, seeds):
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
    for path in found.glob("seed-*"):
        (seeds / path.name).write_bytes(path.read_bytes())
        (least / path.name).write_bytes(path.read_bytes())
    _run(door, ["-merge=1", str(least), str(found)])
    return [path.read_bytes() for path in least.iterdir() if not path.name.startswith("seed-")]


def _run(door: str, flags: list[str]) -> str:
    command = [sys.executable, "-m", "tests.hostile.guided", door, *flags]
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return ended.stdout.decode(errors="replace")


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text, re.MULTILINE)
    return int(found[-1]) if found else 0


def _tell(outcome: Outcome) -> None:
    state = f"{len(outcome.broken)} broken promises" if outcome.broken else "fine"
    if not outcome.tried:
        state = f"did not run; see {FOLDER / outcome.door / 'log'}"
    print(f"{outcome.door:24} {outcome.tried:>9} tried {outcome.features:>6} reached  {state}")
    for path in outcome.broken:
        print(f"    {path}\n    {path.read_bytes()[:400]!r}")


def main(arguments: Iterable[str]) -> int:
    """Fuzz; the status says whether all promises were kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all doors together")
    parser.add_argument("--door", choices=sorted(DOORS), help="only this one")
    parser.add_argument("--keep", action="store_true", help="put what was reached into the corpus")
    given = parser.parse_args([*arguments])
    doors = [given.door] if given.door else list(DOORS)
    seconds = max(1, int(given.minutes * 60 / len(doors)))
    outcomes = []
    for door in doors:
        outcomes.append(fuzz(door, seconds))
        _tell(outcomes[-1])
        if given.keep:
            keep(door, reduced(door))
    print(f"{sum(each.tried for each in outcomes)} inputs at {len(doors)} doors")
    return 1 if any(each.broken or not each.tried for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
