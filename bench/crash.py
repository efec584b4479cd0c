"""Kill WConfD very often under load: ``python -m bench.crash [--kills N] [--seed N]``.

What each run has found is added to the earlier ones in ``bench/results``.

The test of the same kind (``tests/crash/test_wconfd_under_fire.py``) does so thirty times.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import asdict, frozen
from bench.figures import machine
from tests.crash.wconfd_under_fire import CLIENTS, prepared

RESULT: Final = Path(__file__).parent / "results" / "crash.md"
KEPT: Final = RESULT.with_suffix(".json")
KILLS: Final = 200

COUNTED: Final = {
    "kills": "kills (SIGKILL at a random moment)",
    "acknowledged": "changes acknowledged, each there once after every kill",
    "found_made": "changes in flight at a kill, and made",
    "found_unmade": "changes in flight at a kill, and not made",
    "torn": "unfinished records cut off",
}


@frozen
class Run:
    """What one run has found."""

    seed: int
    machine: str
    seconds: int
    kills: int
    acknowledged: int
    found_made: int
    found_unmade: int
    torn: int


def main() -> None:
    """Kill, check, and keep what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="how often WConfD is killed")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    options = parser.parse_args()
    where, began = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fire-") as folder:
        under_fire = prepared(Path(folder), options.seed)
        under_fire.fire(options.kills)
        run = Run(
            options.seed,
            where,
            round(time.monotonic() - began),
            kills=under_fire.kills,
            acknowledged=under_fire.acknowledged,
            found_made=under_fire.found_made,
            found_unmade=under_fire.found_unmade,
            torn=under_fire.torn,
        )
    runs = (*_earlier(), run)
    KEPT.write_text(json.dumps([asdict(each) for each in runs], indent=1) + "\n")
    RESULT.write_text(_shown(runs))
    print(RESULT.read_text())


def _earlier() -> tuple[Run, ...]:
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else []
    return tuple(Run(**each) for each in kept)


def _shown(runs: Sequence[Run]) -> str:
    lines = [
        "# WConfD killed under load",
        "",
        f"By `python -m bench.crash`, with {CLIENTS} clients, and `config.data` rewritten all the "
        "time. Every run is added.",
        "",
        f"| what | {' | '.join(f'seed {run.seed}' for run in runs)} | together |",
        f"|---|{'---:|' * (len(runs) + 1)}",
    ]
    for name, what in COUNTED.items():
        counts = [int(getattr(run, name)) for run in runs]
        lines.append(f"| {what} | {' | '.join(map(str, counts))} | {sum(counts)} |")
    lines += ["", *(f"- seed {run.seed}: {run.seconds} s on {run.machine}" for run in runs), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
