"""The fields of what has few: locks, job filter rules and exports."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from gantry.core.query.fields import Field, Table, table
from gantry.protocols.codec import Json
from gantry.protocols.locks import LockState, LockWait
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.node import Node
from gantry.protocols.query import Cell


@frozen
class ExportRow:
    """One export of a node, or a node that has none or did not answer."""

    node: Node
    export: Cell


def _wait_shown(wait: LockWait) -> Json:
    return [str(wait.job), wait.mode, wait.since, [str(job) for job in wait.behind]]


LOCKS: Final[Table[LockState]] = table("lock", "name", (
    Field("name", "Name", "other", "Level and object", lambda r: (0, r.name)),
    Field("mode", "Mode", "other", "How it is held: exclusive, shared or null",
          lambda r: (0, r.mode), "lock"),
    Field("owner", "Owner", "other", "Jobs that hold it",
          lambda r: (0, [str(job) for job in r.owners]), "lock"),
    Field("pending", "Pending", "other", "Jobs that wait for it, and how they want it",
          lambda r: (0, [[each.mode, [str(each.job)]] for each in r.waits]), "lock"),
), unlisted=(
    Field("owner_since", "OwnerSince", "other", "Since when each owner holds it, if known",
          lambda r: (0, list(r.since)), "lock"),
    Field("waits", "Waits", "other", "Jobs that wait for it: mode, since when, for which jobs",
          lambda r: (0, [_wait_shown(each) for each in r.waits]), "lock"),
))  # fmt: skip

RULES: Final[Table[FilterRule]] = table("filter", "uuid", (
    Field("uuid", "UUID", "other", "UUID of the rule", lambda r: (0, r.uuid)),
    Field("watermark", "Watermark", "other", "Last job number given out when it was made",
          lambda r: (0, r.watermark)),
    Field("priority", "Priority", "other", "Lower ones are tried first",
          lambda r: (0, r.priority)),
    Field("predicates", "Predicates", "other", "What a job must be for the rule to apply",
          lambda r: (0, r.predicates)),
    Field("action", "Action", "other", "What is done with the job", lambda r: (0, r.action)),
    Field("reason_trail", "ReasonTrail", "other", "Why there is such a rule",
          lambda r: (0, r.reason_trail)),
))  # fmt: skip

EXPORTS: Final[Table[ExportRow]] = table("export", "node", (
    Field("node", "Node", "text", "Node that keeps the export", lambda r: (0, r.node.name),
          comparing="hostname"),
    Field("export", "Export", "text", "Name of the export", lambda r: r.export, "export"),
))  # fmt: skip
