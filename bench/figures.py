"""Figures, and how they are shown and kept."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen


@frozen
class Figure:
    """One measured value."""

    name: str
    value: float
    unit: str
    below: float | None = None
    """A target: the value has to be smaller."""
    above: float | None = None
    """A target: the value has to be larger."""

    @property
    def met(self) -> bool:
        """Whether there is no target, or it is met."""
        return (self.below is None or self.value < self.below) and (
            self.above is None or self.value > self.above
        )

    @property
    def target(self) -> str:
        """The target as a reader wants it."""
        if self.below is not None:
            return f"< {self.below:g}" + ("" if self.met else " (missed)")
        if self.above is not None:
            return f"> {self.above:g}" + ("" if self.met else " (missed)")
        return ""


@frozen
class Section:
    """Figures that belong together."""

    title: str
    explanation: str
    figures: tuple[Figure, ...]


def share(values: Sequence[float], part: float) -> float:
    """Return the value below which a part of the values lies: 0.5 gives the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def median_and_p90(name: str, values: Sequence[float], below: float | None) -> tuple[Figure, ...]:
    """Return two figures for a series of times in milliseconds; the target is the median's."""
    return (
        Figure(f"{name}, median", statistics.median(values), "ms", below=below),
        Figure(f"{name}, 90 % below", share(values, 0.9), "ms"),
    )


def machine() -> str:
    """Say in general words where the figures come from."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{os.cpu_count()} processors ({model}), {memory_gib:.0f} GiB, Linux "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}; "
        f"load {os.getloadavg()[0]:.1f} when the run began"
    )


def rendered(sections: Sequence[Section], where: str) -> str:
    """Return the page of a run."""
    lines = [
        "# Measured",
        "",
        f"By `{' '.join(['python -m bench', *sys.argv[1:]])}` on {where}.",
        "All durability is on. Compare figures of one run with each other; between runs, ratios.",
    ]
    for section in sections:
        lines += ["", f"## {section.title}", "", section.explanation, ""]
        lines += ["| figure | value | target |", "|---|---:|---|"]
        lines += [
            f"| {each.name} | {_shown(each.value)} {each.unit} | {each.target} |"
            for each in section.figures
        ]
    return "\n".join([*lines, ""])


def _shown(value: float) -> str:
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
    )
