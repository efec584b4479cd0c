"""The doors behind the doors: what was parsed as JSON, and now has to mean something.

Opcodes and queries of LUXI and the remote API, and changes of the configuration.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, cast

import attrs
from tests.hostile.door import BrokenPromise, Door, decoding
from tests.hostile.examples import examples
from tests.unit.core.config.small_cluster import NOW, SAMPLE, sample, sample_state, ticket

from gantry.cli.filter_language import FilterError
from gantry.cli.filter_language import parse_filter as parse_words
from gantry.core.config.reservations import Reservations
from gantry.core.config.transaction import Transacted, transact
from gantry.core.config.verify import verify
from gantry.core.query.cluster import QueueState, config_values
from gantry.core.query.engine import plan_query, query_fields
from gantry.core.query.older import NamedResource, plan_filters, plan_jobs, plan_named
from gantry.core.query.view import View
from gantry.core.queue.job_filters import JobFilters, parse_action, parse_predicates
from gantry.core.queue.submission import BadDependency, check, number, sending_of
from gantry.operations.registry import is_available
from gantry.protocols.changes import Change
from gantry.protocols.codec import (
    CLIENT_NESTING_MAX,
    Malformed,
    dump,
    from_bytes,
    load,
    rendered,
    to_bytes,
)
from gantry.protocols.errors import BadCall, GanetiError, ServiceError
from gantry.protocols.identity import FilterUuid, JobId
from gantry.protocols.jobs import Job, load_job, new_job
from gantry.protocols.luxi import LUXI
from gantry.protocols.objects.filter import FilterRule
from gantry.protocols.objects.wire import dump_object
from gantry.protocols.opcodes.dialects import VERSIONS, in_normal_form
from gantry.protocols.opcodes.parsing import parse_opcode
from gantry.protocols.opcodes.registry import OPCODES, opcode_class
from gantry.protocols.opcodes.rendering import dump_opcode
from gantry.protocols.query import parse_query, parse_resource

QUEUE_SAMPLES: Final = SAMPLE.parent / "queue"
MOMENT: Final = (1_700_000_000, 0)


@cache
def _jobs() -> dict[JobId, Job]:
    found = [load_job(path.read_bytes()) for path in sorted(QUEUE_SAMPLES.glob("job-*"))]
    return {job.id: job for job in found}


@cache
def _view() -> View:
    return View(sample())


def _arguments(method: str, data: bytes) -> Any:  # noqa: ANN401 - a call's arguments
    return LUXI.method(method).load_positional(_list(data))


def _list(data: bytes) -> list[object]:
    value = from_bytes(data, CLIENT_NESTING_MAX)
    if not isinstance(value, list):
        raise Malformed("arguments are a list")
    return value


# --- opcodes -------------------------------------------------------------------------------------


def _submit(data: bytes) -> None:
    """Do with a job what LuxiD does before it stores it, and what it does with it then."""
    ops = _list(data)
    for dialect in VERSIONS.values():
        with contextlib.suppress(Malformed, GanetiError):
            check([in_normal_form(op, dialect) for op in ops], is_available)
    opcodes = check(ops, is_available)
    sending_of("SubmitJob", 0, "c", (ops,))  # type: ignore[arg-type]  # they are objects, or were refused
    stored = number(JobId(7), opcodes, MOMENT).stored
    to_bytes(dump(stored))
    job = new_job(JobId(7), stored.ops, MOMENT)
    JobFilters.of([_everything()]).decide(job)
    for each in opcodes:
        if parse_opcode(dump_opcode(each)) is None:
            raise BrokenPromise(f"{each} is lost")


def _everything() -> FilterRule:
    predicates = parse_predicates([["opcode", ["=~", "OP_ID", "OP_"]]])
    return FilterRule(
        watermark=JobId(1),
        priority=0,
        predicates=predicates,
        action=parse_action("ACCEPT"),
        reason_trail=(),
        uuid=FilterUuid("u"),
    )


def _submissions() -> Iterator[bytes]:
    for job in _jobs().values():
        yield to_bytes([op.input for op in job.ops])
    for op_id in sorted(OPCODES):
        if is_available(op_id):
            for each in examples(opcode_class(op_id), 4):
                yield to_bytes([dump_opcode(each)])


# --- queries -------------------------------------------------------------------------------------


def _query(data: bytes) -> None:
    args = _arguments("Query", data)
    query = parse_query(args["what"], args["fields"], args["qfilter"])
    rendered(plan_query(query, _view(), _jobs()).chosen().answer())


def _queries() -> Iterator[bytes]:
    filters: tuple[object, ...] = (
        None,
        ["=", "name", "inst1.gnt.test"],
        ["|", ["=", "name", "inst1"], ["=", "name", "node1.gnt.test"]],
        ["&", ["=~", "name", "^i.*1"], ["!", ["?", "offline"]]],
        ["<", "serial_no", 5],
        ["=[]", "tags", "a"],
        ["|", ["=", "id", 408], ["=", "id", 409]],
    )
    fields = {
        "instance": ["name", "status", "disk.sizes", "nic.mac/0", "be/memory", "hv/acpi"],
        "node": ["name", "offline", "pinst_cnt", "tags", "ndp/oob_program"],
        "group": ["name", "node_cnt", "ipolicy"],
        "network": ["name", "free_count", "map"],
        "job": ["id", "status", "ops", "opresult", "summary", "priority", "archived"],
        "filter": ["uuid", "priority"],
        "lock": ["name", "mode"],
        "export": ["node", "export"],
    }
    for resource, names in fields.items():
        for condition in filters:
            yield to_bytes([resource, names, condition])


def _older_query(data: bytes) -> None:
    """Do what the calls do that are older than filters; each takes what it can of the input."""
    resources: tuple[tuple[str, NamedResource], ...] = (
        ("QueryInstances", "instance"),
        ("QueryNodes", "node"),
        ("QueryGroups", "group"),
        ("QueryNetworks", "network"),
    )
    for method, resource in resources:
        with contextlib.suppress(BadCall, GanetiError):
            a = _arguments(method, data)
            locking = a["use_locking"]
            plan = plan_named(resource, a["names"], a["fields"], _view(), use_locking=locking)
            rendered(plan.chosen().plain())
    with contextlib.suppress(BadCall, GanetiError):
        a = _arguments("QueryJobs", data)
        rendered(plan_jobs(a["job_ids"], a["fields"], _view(), _jobs()).chosen().plain())
    with contextlib.suppress(BadCall, GanetiError):
        a = _arguments("QueryFilters", data)
        rendered(plan_filters(a["uuids"], a["fields"], _view()).chosen().plain())
    with contextlib.suppress(BadCall, GanetiError, Malformed):
        args = _arguments("QueryFields", data)
        rendered(query_fields(parse_resource(args["what"]), args["fields"]))
    with contextlib.suppress(BadCall, GanetiError):
        state = QueueState(False, None, False)
        rendered(config_values(_arguments("QueryConfigValues", data)["fields"], _view(), state))


def _older_queries() -> Iterator[bytes]:
    yield to_bytes([["inst1.gnt.test"], ["name", "pnode", "tags"], False])
    yield to_bytes([[], ["name", "group", "offline"], False])
    yield to_bytes([[408, "409"], ["id", "status", "ops", "received_ts"]])
    yield to_bytes([None, ["uuid", "priority"]])
    yield to_bytes([["cluster_name", "master_node", "drain_flag", "watcher_pause"]])
    yield to_bytes(["node", ["name", "nosuch"]])


def _rule(data: bytes) -> None:
    args = _arguments("ReplaceFilter", data)
    predicates, action = parse_predicates(args["predicates"]), parse_action(args["action"])
    rule = attrs.evolve(_everything(), predicates=predicates, action=action)
    filters = JobFilters.of([rule])
    for job in _jobs().values():
        filters.decide(job)
    to_bytes(dump_object(rule))


def _rules() -> Iterator[bytes]:
    predicates: tuple[object, ...] = (
        [["jobid", [">", "id", "watermark"]]],
        [["jobid", ["=", "id", 5]], ["opcode", ["=", "OP_ID", "OP_TEST_DELAY"]]],
        [["opcode", ["|", ["=~", "instance_name", "^a"], ["=[]", "nodes", "n"]]]],
        [["reason", ["&", ["=", "source", "gnt:client"], ["<", "timestamp", 5]]]],
    )
    for action in ("ACCEPT", "PAUSE", "REJECT", "CONTINUE", ["RATE_LIMIT", 3]):
        for each in predicates:
            yield to_bytes([None, 5, each, action, [["gnt:client", "r", 5]]])


# --- changes -------------------------------------------------------------------------------------


def _change(data: bytes) -> None:
    """Make a change as WConfD does; one that is refused leaves everything as it was."""
    change: Change = load(cast("type[Any]", Change), from_bytes(data))
    before = sample_state()
    made = transact(before, Reservations(), ticket(change), change, NOW)
    if not isinstance(made, Transacted):
        if before != sample_state():
            raise BrokenPromise("a refused change has changed something")
        return
    to_bytes(dump(made.delta))
    broken = [each for each in verify(made.state) if each not in verify(before)]
    if broken:
        raise BrokenPromise(f"{change} breaks {broken[:3]}")


def _changes() -> Iterator[bytes]:
    for each in examples(Change, 200):
        yield to_bytes(dump(each, Change))
    for config in (sample(),):
        for kind, objects in (
            ("UpdateNode", config.nodes),
            ("UpdateInstance", config.instances),
            ("UpdateGroup", config.nodegroups),
            ("UpdateNetwork", config.networks),
            ("AddInstance", config.instances),
            ("AddNode", config.nodes),
        ):
            for value in objects.values():
                yield to_bytes({"kind": kind, kind[-8:].lower(): dump_object(value)})


def _words(data: bytes) -> None:
    parse_words(data.decode(errors="surrogateescape"))


DOORS: Final = (
    Door(
        "opcodes",
        ("protocols.opcodes.parsing", "core.queue.submission"),
        decoding(_submit, Malformed, GanetiError, BadDependency),
        _submissions,
    ),
    Door(
        "queries",
        ("protocols.query", "core.query.engine"),
        decoding(_query, Malformed, GanetiError, ServiceError),
        _queries,
        (b'"=~"', b'"(a+)+$"', b'"["', b'"(?P<"', b'"x{9999999999}"', b'"*"', b'"id"'),
    ),
    Door(
        "older-queries",
        ("core.query.older",),
        decoding(_older_query, Malformed, GanetiError, ServiceError),
        _older_queries,
    ),
    Door(
        "filter-rules",
        ("core.queue.job_filters",),
        decoding(_rule, Malformed, GanetiError, ServiceError),
        _rules,
        (b'"=~"', b'"watermark"', b'"timestamp"'),
    ),
    Door(
        "changes",
        ("core.config.transaction", "protocols.changes"),
        decoding(_change, Malformed, ServiceError),
        _changes,
    ),
    Door(
        "filter-words",
        ("cli.filter_language",),
        decoding(_words, FilterError),
        lambda: [b'name == "a" and not offline', b"(id < 5 or tags contains x) and a =~ m/b/i"],
        (b"=~", b" in ", b"m/", b"'"),
    ),
)
