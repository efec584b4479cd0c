"""What verification finds, and how it is told (the reference's output of cluster verify)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from attrs import frozen

from gantry.protocols.opcodes.verification import ErrorClass

Subject = Literal["cluster", "node", "instance", "group"]
Level = Literal["ERROR", "WARNING"]


@frozen
class Finding:
    """Something that is not as it should be."""

    code: ErrorClass
    subject: Subject
    item: str | None
    """The object's name; ``None`` for the cluster."""
    text: str
    level: Level = "ERROR"


def demoted(finding: Finding, ignored: frozenset[ErrorClass]) -> Finding:
    """Return the finding as a warning, if its kind is ignored."""
    if finding.code not in ignored:
        return finding
    return Finding(finding.code, finding.subject, finding.item, finding.text, "WARNING")


def line(finding: Finding, *, codes: bool) -> str:
    """Return the line of the job's log for people, or for programs (with codes)."""
    if codes:
        item = finding.item
        return f"  - {finding.level}:{finding.code}:{finding.subject}:{item}:{finding.text}"
    item_shown = f" {finding.item}" if finding.item is not None else " "
    return f"  - {finding.level}: {finding.subject}{item_shown}: {finding.text}"


def is_good(findings: Iterable[Finding]) -> bool:
    """Whether there is no error among the findings."""
    return not any(each.level == "ERROR" for each in findings)
