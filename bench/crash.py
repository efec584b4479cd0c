"""Kill WConfD very often under load: ``python -m bench.crash [--kills N] [--seed N]``.

The test of the same kind (``tests/crash/test_wconfd_under_fire.py``) does so thirty times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.figures import machine
from tests.crash.wconfd_under_fire import CLIENTS, prepared

RESULT: Final = Path(__file__).parent / "results" / "crash.md"
KILLS: Final = 200


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
        rows = {
            "kills (SIGKILL at a random moment)": under_fire.kills,
            "changes acknowledged, each there once after every kill": under_fire.acknowledged,
            "changes in flight at a kill, and made": under_fire.found_made,
            "changes in flight at a kill, and not made": under_fire.found_unmade,
            "unfinished records cut off": under_fire.torn,
        }
    lines = [
        "# WConfD killed under load",
        "",
        f"By `python -m bench.crash --kills {options.kills} --seed {options.seed}` on {where}; "
        f"{CLIENTS} clients, and `config.data` rewritten all the time; "
        f"{time.monotonic() - began:.0f} s.",
        "",
        "| what | how many |",
        "|---|---:|",
        *(f"| {what} | {count} |" for what, count in rows.items()),
        "",
    ]
    RESULT.write_text("\n".join(lines))
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
