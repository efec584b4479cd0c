"""LUXI's older calls, which return rows of bare values: plans of the same queries.

Names that do not exist are left out, and unknown fields are errors; in both they differ from
Query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from gantry.core.query.engine import DEFINITIONS, plan_query
from gantry.core.query.jobs import JOBS, Insides, JobRow, nothing_known
from gantry.core.query.plan import Plan
from gantry.core.query.view import View
from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import JobId, job_id_of
from gantry.protocols.jobs import Job
from gantry.protocols.query import EVERYTHING, Filter, Query, Resource, any_of

NamedResource = Literal["instance", "node", "group", "network"]


def plan_named(
    resource: NamedResource,
    names: Sequence[str],
    fields: Sequence[str],
    view: View,
    *,
    use_locking: bool,
) -> Plan:
    """Plan QueryInstances, QueryNodes, QueryGroups or QueryNetworks; no names means all.

    Raises:
        OpPrereqError: a field does not exist, or the query was to take locks.
    """
    _refuse_locking(use_locking=use_locking)
    return _plan(resource, fields, _named(("name", "uuid"), names), view)


def plan_filters(uuids: Sequence[str] | None, fields: Sequence[str], view: View) -> Plan:
    """Plan QueryFilters; no UUIDs means all.

    Raises:
        OpPrereqError: a field does not exist.
    """
    return _plan("filter", fields, _named(("uuid",), uuids), view)


def plan_exports(nodes: Sequence[str], view: View, *, use_locking: bool) -> Plan:
    """Plan QueryExports: rows of node and export; no nodes means all.

    Raises:
        OpPrereqError: the query was to take locks.
    """
    _refuse_locking(use_locking=use_locking)
    found = (view.find_node(name) for name in nodes)
    known = [node.name for node in found if node is not None]
    if nodes and not known:
        return _plan("export", ("node", "export"), any_of((), ()), view)
    return _plan("export", ("node", "export"), _named(("node",), known), view)


def plan_jobs(
    ids: Sequence[int | str] | None,
    fields: Sequence[str],
    view: View,
    jobs: Mapping[JobId, Job],
    insides: Insides = nothing_known,
) -> Plan:
    """Plan QueryJobs; no ids means all jobs that are not archived.

    Raises:
        OpPrereqError: a field does not exist.
        GenericError: an id is not a number.
    """
    numbers = [each if isinstance(each, int) else job_id_of(each) or each for each in ids or ()]
    return _plan("job", fields, _named(("id",), numbers), view, jobs, insides)


def job_values(job: Job, fields: Sequence[str], insides: Insides = nothing_known) -> list[Json]:
    """Return the values of some fields of a job, for WaitForJobChange.

    Raises:
        OpPrereqError: a field does not exist.
    """
    _refuse_unknown("job", fields)
    row = JobRow(job.id, job, insides=insides)
    return [each.read(row)[1] for each in JOBS.select(fields)]


def _plan(
    resource: Resource,
    fields: Sequence[str],
    expression: Filter,
    view: View,
    jobs: Mapping[JobId, Job] | None = None,
    insides: Insides = nothing_known,
) -> Plan:
    _refuse_unknown(resource, fields)
    return plan_query(Query(resource, tuple(fields), expression), view, jobs or {}, insides)


def _named(keys: Sequence[str], values: Sequence[str | int] | None) -> Filter:
    return any_of(keys, values) if values else EVERYTHING


def _refuse_unknown(resource: Resource, fields: Sequence[str]) -> None:
    unknown = [each.name for each in DEFINITIONS[resource](fields) if each.kind == "unknown"]
    if unknown:
        raise OpPrereqError(f"there are no output fields {', '.join(unknown)}", "wrong_input")


def _refuse_locking(*, use_locking: bool) -> None:
    if use_locking:
        raise OpPrereqError("queries do not take locks; ask without use_locking", "wrong_input")
