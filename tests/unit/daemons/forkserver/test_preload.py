"""What the fork server loads, and what of it is not kept."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import linecache
from gantry.daemons.forkserver.preload import preload
preload("gantry.protocols.objects.cluster:Cluster")
print([name for name in linecache.cache if "generated" in name])
"""


def test_the_source_of_generated_methods_is_not_kept() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "[]\n", ran.stderr
