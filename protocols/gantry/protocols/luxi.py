"""LUXI: what clients made for Ganeti 3.0 say to the master, on the query socket.

A request is ``{"method", "args": [...], "version"?}``, an answer ``{"success", "result"}``; an
error's result is ``[class name, [arguments]]``. Opcodes and query results are Ganeti's data and
travel as JSON values here; LuxiD parses them with :mod:`gantry.protocols.opcodes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from gantry.protocols.codec import Json
from gantry.protocols.jobs import Choice
from gantry.protocols.service import Service

SOCKET_NAME: Final = "query"
"""The name in the node's socket folder; Ganeti's place for it holds a link."""

GANETI_LINK: Final = "socket/ganeti-query"
"""Where Ganeti's clients look, below Ganeti's run directory."""

WAIT_SECONDS_MAX: Final = 89
"""The longest that one WaitForJobChange waits, as in Ganeti (LUXI_WFJC_TIMEOUT)."""

OpcodeJson = Mapping[str, Json]
QueryResource = Literal["job", "lock", "filter", "node", "instance", "group", "network", "export"]
TagKind = Literal["cluster", "nodegroup", "node", "instance", "network"]


class Luxi(Protocol):
    """The master's front door."""

    async def submit_job(self, ops: tuple[OpcodeJson, ...]) -> int:
        """Queue a job; answered when it is durable."""

    async def submit_job_to_drained_queue(self, ops: tuple[OpcodeJson, ...]) -> int:
        """Queue a job even though the queue is drained."""

    async def submit_many_jobs(
        self, jobs: tuple[tuple[OpcodeJson, ...], ...]
    ) -> tuple[tuple[bool, int | str], ...]:
        """Queue several jobs with consecutive ids."""

    async def wait_for_job_change(
        self,
        job_id: int | str,
        fields: tuple[str, ...],
        prev_job_info: Json,
        prev_log_serial: int | None,
        timeout: float,
    ) -> Json:
        """Wait until the fields or the log differ from what the caller knows."""

    async def cancel_job(self, job_id: int | str, kill: bool = False) -> tuple[bool, str]:  # noqa: FBT001, FBT002 - LUXI's arguments are positional
        """Cancel a job: dequeue it, or ask its process to stop and undo."""

    async def decide_job(self, job_id: int | str, choice: Choice) -> tuple[bool, str]:
        """Answer what a job asks; a method of Gantry's own."""

    async def query_questions(self) -> tuple[tuple[int, tuple[int, int], str], ...]:
        """Return the jobs that wait for a decision, since when, and what they ask; our own."""

    async def change_job_priority(self, job_id: int | str, priority: int) -> tuple[bool, str]:
        """Change the priority of a pending job."""

    async def pause_job(self, job_id: int | str) -> tuple[bool, str]:
        """Have a job stand still before it begins, or before its next step (an addition)."""

    async def resume_job(self, job_id: int | str) -> tuple[bool, str]:
        """Let a paused job go on (an addition)."""

    async def query_job_process(self, job_id: int | str) -> Json:
        """Return what a job's process says of itself; null if there is none (an addition)."""

    async def set_job_log_level(self, job_id: int | str, level: str) -> tuple[bool, str]:
        """Have a job's process log more (``debug``) or as usual (``info``) (an addition)."""

    async def archive_job(self, job_id: int | str) -> bool:
        """Move a finished job to the archive."""

    async def auto_archive_jobs(self, age: int, timeout: int) -> tuple[int, int]:
        """Archive finished jobs older than ``age`` seconds; return (archived, left)."""

    async def pickup_job(self, job_id: int | str) -> None:
        """Refuse: the call is Ganeti's own between its daemons."""

    async def query(self, what: str, fields: tuple[str, ...], qfilter: Json) -> Json:
        """Return typed rows of a resource."""

    async def query_fields(self, what: str, fields: tuple[str, ...] | None) -> Json:
        """Return the definitions of a resource's fields."""

    async def query_instances(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of instances."""

    async def query_nodes(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of nodes."""

    async def query_groups(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of node groups."""

    async def query_networks(
        self,
        names: tuple[str, ...],
        fields: tuple[str, ...],
        use_locking: bool,  # noqa: FBT001 - LUXI's arguments are positional
    ) -> Json:
        """Return plain rows of networks."""

    async def query_jobs(
        self, job_ids: tuple[int | str, ...] | None, fields: tuple[str, ...]
    ) -> Json:
        """Return plain rows of jobs."""

    async def query_filters(self, uuids: tuple[str, ...] | None, fields: tuple[str, ...]) -> Json:
        """Return plain rows of filter rules."""

    async def replace_filter(
        self, uuid: str | None, priority: int, predicates: Json, action: Json, reason: Json
    ) -> str:
        """Add or replace a filter rule."""

    async def delete_filter(self, uuid: str) -> None:
        """Remove a filter rule."""

    async def query_exports(self, nodes: tuple[str, ...], use_locking: bool) -> Json:  # noqa: FBT001 - LUXI's arguments are positional
        """Return (node, export) pairs."""

    async def query_config_values(self, fields: tuple[str, ...]) -> Json:
        """Return single values of the cluster."""

    async def query_cluster_info(self) -> Json:
        """Return the cluster's parameters."""

    async def query_tags(self, kind: TagKind, name: str) -> tuple[str, ...]:
        """Return the tags of an object."""

    async def set_drain_flag(self, flag: bool) -> bool:  # noqa: FBT001 - LUXI's arguments are positional
        """Open or close the queue for new jobs."""

    async def set_queue_pause(self, flag: bool) -> bool:  # noqa: FBT001 - LUXI's arguments are positional
        """Let no job begin, or let jobs begin again; jobs are accepted meanwhile (an addition)."""

    async def set_watcher_pause(self, until: float | None) -> Json:
        """Pause the watcher until a time, or no longer."""


def wire_name(method: str) -> str:
    """Return LUXI's name of a method: ``submit_job`` is ``SubmitJob``."""
    return "".join(part.capitalize() for part in method.split("_"))


LUXI: Final = Service(Luxi, wire_name=wire_name)
