"""LUXI's Query and QueryFields: plan a query of any resource.

:func:`plan_query` looks only at what is in memory. The caller then has the objects chosen, finds
out what :attr:`~gantry.core.query.plan.Chosen.needs` names and has the answer rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeVar, assert_never

from gantry.core.query.fields import NODATA, NODE_OFFLINE, Source, normal
from gantry.core.query.groups import GROUPS, GroupRow
from gantry.core.query.instance_row import InstanceRow
from gantry.core.query.instances import INSTANCES
from gantry.core.query.jobs import JOBS, Insides, JobInside, JobRow, nothing_known
from gantry.core.query.live import NOTHING, LiveData, Needs
from gantry.core.query.networks import NETWORKS, NetworkRow
from gantry.core.query.nodes import NODES, NodeRow
from gantry.core.query.plan import Plan, Selection, described
from gantry.core.query.records import EXPORTS, LOCKS, RULES, ExportRow
from gantry.core.query.sorting import nice_key
from gantry.core.query.view import AnyInstance, View
from gantry.protocols.codec import Json
from gantry.protocols.errors import GenericError, OpPrereqError
from gantry.protocols.identity import JobId, NodeUuid, job_id_of
from gantry.protocols.jobs import Job
from gantry.protocols.locks import LockState
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.query import FieldDefinition, Query, Resource, Value, fields_of, names_in

Found = TypeVar("Found")


def plan_query(
    query: Query, view: View, jobs: Mapping[JobId, Job], insides: Insides = nothing_known
) -> Plan:
    """Plan a query. ``jobs`` are all that are not archived; only queries of jobs look at them.

    Raises:
        OpPrereqError: an object that was asked for by its name does not exist.
        ParameterError: the filter names a field that does not exist.
        GenericError: a job id is not a number.
    """
    fields, expression = query.fields, query.filter
    match query.resource:
        case "instance":
            return _instances(query, view).plan(fields, expression)
        case "node":
            return _nodes(query, view).plan(fields, expression)
        case "group":
            found = _asked_for(query, GROUPS.key, view.find_group, view.groups)
            groups = Selection(GROUPS, found, lambda each, _: GroupRow(each, view), _nothing)
            return groups.plan(fields, expression)
        case "network":
            nets = _asked_for(query, NETWORKS.key, view.find_network, view.networks)
            networks = Selection(NETWORKS, nets, lambda each, _: NetworkRow(each, view), _nothing)
            return networks.plan(fields, expression)
        case "filter":
            rules = Selection(RULES, view.filter_rules, lambda rule, _: rule, _nothing)
            return rules.plan(fields, expression)
        case "lock":
            return _LOCKS.plan(fields, expression)
        case "export":
            return _exports(query, view).plan(fields, expression)
        case "job":
            return _jobs(query, jobs, insides).plan(fields, expression)
        case _:
            assert_never(query.resource)


def query_fields(resource: Resource, names: Sequence[str] | None) -> dict[str, Json]:
    """Return the result of LUXI's QueryFields; without names all fields are described."""
    return {"fields": [described(each) for each in DEFINITIONS[resource](names or None)]}


DEFINITIONS: Final[Mapping[Resource, Callable[[Sequence[str] | None], list[FieldDefinition]]]] = {
    "instance": INSTANCES.definitions,
    "node": NODES.definitions,
    "group": GROUPS.definitions,
    "network": NETWORKS.definitions,
    "filter": RULES.definitions,
    "lock": LOCKS.definitions,
    "export": EXPORTS.definitions,
    "job": JOBS.definitions,
}
"""By resource, what gives the definitions of named fields, or (for ``None``) of all."""


def _nothing(_: AbstractSet[Source], __: object) -> Needs:
    return NOTHING


def _asked_for(
    query: Query, key: str, find: Callable[[str], Found | None], everything: Sequence[Found]
) -> Sequence[Found]:
    """Return the objects that a filter asks for by name, in that order, or else all."""
    names = names_in(query.filter, key)
    if not names or not all(isinstance(name, str) for name in names):
        return everything
    found: list[Found] = []
    for name in map(str, names):
        each = find(name)
        if each is None:
            raise OpPrereqError(f"{query.resource} {name} is not known", "unknown_entity")
        found.append(each)
    return found


# --- instances and nodes -----------------------------------------------------------------------


def _instances(query: Query, view: View) -> Selection[AnyInstance, InstanceRow]:
    objects = _asked_for(query, INSTANCES.key, view.find_instance, view.instances)

    def needs(sources: AbstractSet[Source], chosen: Sequence[AnyInstance]) -> Needs:
        consoles: Iterable[Instance] = ()
        hosts: frozenset[NodeUuid] = frozenset()
        if "instance" in sources:
            hosts = frozenset(_hosts(chosen, view))
        if "console" in sources:
            real = (each for each in chosen if isinstance(each, Instance))
            consoles = (each for each in real if _online(each.primary_node, view))
        return Needs(instances=hosts, consoles=frozenset(each.uuid for each in consoles))

    return Selection(
        INSTANCES, objects, lambda each, live: InstanceRow(each, view, live), needs
    )  # fmt: skip


def _hosts(instances: Iterable[AnyInstance], view: View) -> Iterator[NodeUuid]:
    """Yield the nodes that may run one of the instances and can be asked."""
    for each in instances:
        for node in (each.primary_node, *view.secondary_nodes(each)):
            if node is not None and _online(node, view):
                yield node


def _online(uuid: NodeUuid, view: View) -> bool:
    node = view.configuration.nodes.get(uuid)
    return node is not None and not node.offline


def _nodes(query: Query, view: View) -> Selection[Node, NodeRow]:
    objects = _asked_for(query, NODES.key, view.find_node, view.nodes)

    def needs(sources: AbstractSet[Source], chosen: Sequence[Node]) -> Needs:
        if "node" not in sources:
            return NOTHING
        asked = (node for node in chosen if node.vm_capable and not node.offline)
        return Needs(info=frozenset(node.uuid for node in asked))

    return Selection(NODES, objects, lambda node, live: NodeRow(node, view, live), needs)


# --- what is not in the configuration ----------------------------------------------------------


def _exports(query: Query, view: View) -> Selection[Node, ExportRow]:
    objects = _asked_for(query, EXPORTS.key, view.find_node, view.nodes)

    def needs(_: AbstractSet[Source], chosen: Sequence[Node]) -> Needs:
        return Needs(exports=frozenset(node.uuid for node in chosen if not node.offline))

    def rows(chosen: Sequence[Node], live: LiveData) -> list[ExportRow]:
        return [row for node in chosen for row in _exports_of(node, live)]

    return Selection(EXPORTS, objects, lambda node, _: ExportRow(node, NODATA), needs, rows)


def _exports_of(node: Node, live: LiveData) -> list[ExportRow]:
    said = live.nodes.get(node.uuid)
    exports = said.exports if said is not None else None
    if not exports:
        return [ExportRow(node, NODE_OFFLINE if node.offline else NODATA)]
    return [ExportRow(node, normal(name)) for name in sorted(exports, key=nice_key)]


def _lock_rows(_: Sequence[LockState], live: LiveData) -> list[LockState]:
    return sorted(live.locks, key=lambda lock: nice_key(lock.name))


_LOCKS: Final = Selection[LockState, LockState](
    LOCKS, (), lambda lock, _: lock, _nothing, _lock_rows, Needs(locks=True)
)


# --- jobs --------------------------------------------------------------------------------------


def _jobs(query: Query, jobs: Mapping[JobId, Job], insides: Insides) -> Selection[JobId, JobRow]:
    named = tuple(map(_job_id, names_in(query.filter, JOBS.key)))
    everything = not named
    wants_archive = everything and "archived" in query.fields
    objects = sorted(jobs) if everything else named

    def needs(sources: AbstractSet[Source], chosen: Sequence[JobId]) -> Needs:
        courses = "course" in sources
        if everything or not (courses or "job" in sources):
            return NOTHING
        missing = frozenset(each for each in chosen if each not in jobs)
        return Needs(archived=missing, courses=courses)

    def row(job: JobId, live: LiveData) -> JobRow:
        current = jobs.get(job)
        if current is not None:
            return JobRow(job, current, insides=insides)
        course = live.courses.get(job)
        inside = None if course is None else JobInside(course)
        return JobRow(job, live.archived.get(job), archived=True, insides=lambda _: inside)

    def rows(chosen: Sequence[JobId], live: LiveData) -> list[JobRow]:
        ids = sorted({*chosen, *live.archived}) if live.among is None else live.among
        return [row(each, live) for each in ids]

    if wants_archive:
        named_fields = {*query.fields, *fields_of(query.filter)} & JOBS.fields.keys()
        courses = any(JOBS.fields[name].source == "course" for name in named_fields)
        always = Needs(archived="all", courses=courses)
        return Selection(JOBS, objects, row, needs, rows, always)
    return Selection(JOBS, objects, row, needs)


def _job_id(value: Value) -> JobId:
    job = value if isinstance(value, int) and abs(value) < 10**18 else job_id_of(value)
    if job is None:
        raise GenericError(f"{value!r:.80} is not a job id")
    return JobId(job)
