"""The OpenMetrics text form (OpenMetrics 1.0): families of metrics as text, strictly rendered."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from attrs import field, frozen

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

FamilyType = Literal["gauge", "counter", "info", "stateset"]

_SUFFIXES: Final[Mapping[FamilyType, str]] = {"counter": "_total", "info": "_info"}
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


@frozen
class Sample:
    """One value of a metric."""

    value: float
    labels: Mapping[str, str] = field(factory=dict)


@frozen
class Family:
    """Metrics of one name.

    Raises:
        ValueError: the name is none, or does not end with the unit.
    """

    name: str
    """Without ``_total`` or ``_info``, which the type adds."""
    type: FamilyType
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or (self.unit and not self.name.endswith(self.unit)):
            raise ValueError(f"{self.name!r} is no name for a metric in {self.unit or 'no unit'}")
        for sample in self.samples:
            if not all(_LABEL.fullmatch(label) for label in sample.labels):
                raise ValueError(f"{self.name}: {list(sample.labels)} are no labels")


def states(
    name: str, value: str, all_states: Iterable[str], labels: Mapping[str, str]
) -> list[Sample]:
    """Return the samples that say in which of several states something is."""
    return [Sample(float(each == value), {**labels, name: each}) for each in all_states]


def render(families: Iterable[Family]) -> str:
    """Render families of different names; those without samples are left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += _lines(family)
    return "\n".join([*lines, "# EOF", ""])


def _lines(family: Family) -> Iterable[str]:
    yield f"# TYPE {family.name} {family.type}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {_escaped(family.help)}"
    name = family.name + _SUFFIXES.get(family.type, "")
    for sample in family.samples:
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels.items())
        yield (
            f"{name}{{{labels}}} {_number(sample.value)}"
            if labels
            else (f"{name} {_number(sample.value)}")
        )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
