"""Points at which no crash can be tried here, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

UNREACHED: Final[Mapping[str, str]] = {
    "daemons.job.opcode_run OpcodeRun._carry_out #1": "a plan that another version has made; all "
    "processes of a run are of one version",
    "daemons.job.opcode_run OpcodeRun.roll_back #5": "a person aborts what can only be carried on; "
    "no operation both asks and has a point of no return (tests/unit/operations/"
    "test_every_operation.py says so)",
}
"""By the point's name; ``test_points.py`` says that the list is no longer than needed."""
