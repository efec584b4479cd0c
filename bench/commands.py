"""What a command costs from its start to its end, interpreter included."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.figures import Figure, Section
from bench.population import populate
from tests.cluster.development import DevCluster

RUNS: Final = 20
CPU_MS_TARGET: Final = 80.0
POPULATIONS: Final = (1, 100)


def listing(cluster: DevCluster) -> Section:
    """Measure ``gnt-instance list``."""
    program = Path(sys.executable).parent / "gnt-instance"
    variables = cluster.layout.variables(cluster.master, os.environ)
    figures = [
        Figure(
            "an interpreter that does nothing", _cpu_ms([sys.executable, "-c", ""], variables), "ms"
        )
    ]
    for instances in POPULATIONS:
        populate(cluster, instances)
        name = f"gnt-instance list, {instances} instances"
        figures.append(
            Figure(name, _cpu_ms([str(program), "list"], variables), "ms", CPU_MS_TARGET)
        )
    return Section(
        "A command's processor time",
        f"User and system time of the whole process, the median of {RUNS} runs.",
        tuple(figures),
    )


def _cpu_ms(command: Sequence[str], variables: Mapping[str, str]) -> float:
    return statistics.median(_once(command, variables) for _ in range(RUNS))


def _once(command: Sequence[str], variables: Mapping[str, str]) -> float:
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return (usage.ru_utime + usage.ru_stime) * 1000
