"""What jobs said they had done is there, and what failed has left and taken nothing.

Names, tags and settings are of one job each, so that it is known later whose they are. A job of
which an earlier try was not answered (``again``) may have been done twice over: of those only
what is acknowledged counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tests.simulation.wishes import MEMORY_MIB, SPINDLES, Op

from gantry.protocols.objects.configuration import Configuration

if TYPE_CHECKING:
    from tests.simulation.checks import View
    from tests.simulation.people import Told

FAILED = ("error", "canceled")


def _done(view: View) -> Iterator[tuple[Told, Op, str]]:
    """Yield every opcode of the people's with its status."""
    for told in view.people.jobs.values():
        seen = view.jobs.get(told.id)
        statuses = seen.op_statuses if seen else ()
        for op, status in zip(told.ops, statuses, strict=False):
            yield told, op, status


def _tags(configuration: Configuration) -> Counter[str]:
    objects = [
        configuration.cluster,
        *configuration.nodes.values(),
        *configuration.instances.values(),
        *configuration.nodegroups.values(),
    ]
    return Counter(tag for each in objects for tag in each.tags)


def every_acknowledged_tag_is_there_once(view: View) -> Iterator[str]:
    """Find tags that were added by a job that succeeded and are gone, or left by one that did not.

    Each tag is added by one job, to the cluster or to something that may be removed since.
    """
    there = _tags(view.configuration)
    removed = {
        str(tag)
        for told in view.people.jobs.values()
        for op in told.ops
        if op["OP_ID"] == "OP_TAGS_DEL" and isinstance(op["tags"], list)
        for tag in op["tags"]
    }
    for tag, count in there.items():
        if count != 1:
            yield f"{tag} is there {count} times"
    for told in view.people.jobs.values():
        seen = view.jobs.get(told.id)
        if seen is None:
            continue
        for op, status in zip(told.ops, seen.op_statuses, strict=True):
            if op["OP_ID"] != "OP_TAGS_SET" or not isinstance(op["tags"], list):
                continue
            for tag in map(str, op["tags"]):
                lost = status == "success" and op["kind"] == "cluster" and tag not in removed
                if lost and not there[tag]:
                    yield f"job {told.id} added {tag}, and it is gone"
                if status != "success" and there[tag] and not told.again:
                    yield f"job {told.id} ended as {status}, and {tag} is there"


def _names(configuration: Configuration) -> Mapping[str, set[str]]:
    return {
        "instance": {each.name for each in configuration.instances.values()},
        "group": {each.name for each in configuration.nodegroups.values()},
        "network": {each.name for each in configuration.networks.values()},
    }


MADE = {
    "OP_INSTANCE_CREATE": ("instance", "instance_name"),
    "OP_INSTANCE_RENAME": ("instance", "new_name"),
    "OP_GROUP_ADD": ("group", "group_name"),
    "OP_GROUP_RENAME": ("group", "new_name"),
    "OP_NETWORK_ADD": ("network", "network_name"),
    "OP_NETWORK_RENAME": ("network", "new_name"),
}
"""What makes a new name, and of what kind."""

REMOVED = {
    "OP_INSTANCE_REMOVE": ("instance", "instance_name"),
    "OP_INSTANCE_RENAME": ("instance", "instance_name"),
    "OP_GROUP_REMOVE": ("group", "group_name"),
    "OP_GROUP_RENAME": ("group", "group_name"),
    "OP_NETWORK_REMOVE": ("network", "network_name"),
    "OP_NETWORK_RENAME": ("network", "network_name"),
}
"""What takes a name away."""


def what_failed_left_nothing(view: View) -> Iterator[str]:
    """Find names and settings of jobs that failed; each has some of its own."""
    there, values = _names(view.configuration), _settings(view.configuration)
    for told, op, status in _done(view):
        if status not in FAILED or told.again:
            continue
        kind, parameter = MADE.get(str(op["OP_ID"]), ("", ""))
        if kind and op[parameter] in there[kind]:
            yield f"job {told.id} ended as {status}, and {op[parameter]} is there"
        value = _own_setting(op)
        if value is not None and value in values:
            yield f"job {told.id} ended as {status}, and its setting {value} is there"


def what_failed_took_nothing(view: View) -> Iterator[str]:
    """Find names that jobs have made and that are gone though no job has removed them."""
    there = _names(view.configuration)
    removed = {
        (REMOVED[str(op["OP_ID"])][0], op[REMOVED[str(op["OP_ID"])][1]])
        for told, op, status in _done(view)
        if op["OP_ID"] in REMOVED and (status == "success" or told.again or told.archived)
    }
    unknown = [*view.people.unanswered]
    unknown += (op for t in view.people.jobs.values() if t.id not in view.jobs for op in t.ops)
    removed |= {
        (REMOVED[str(op["OP_ID"])][0], op[REMOVED[str(op["OP_ID"])][1]])
        for op in unknown
        if op["OP_ID"] in REMOVED
    }
    for told, op, status in _done(view):
        kind, parameter = MADE.get(str(op["OP_ID"]), ("", ""))
        if status != "success" or not kind or (kind, op[parameter]) in removed:
            continue
        if op[parameter] not in there[kind]:
            yield f"job {told.id} has made {kind} {op[parameter]}, and it is gone"


def _own_setting(op: Op) -> int | None:
    """Return the value of its own that an opcode gives a setting, if it does."""
    for group in ("beparams", "ndparams"):
        given = op.get(group)
        if op["OP_ID"] != "OP_CLUSTER_SET_PARAMS" and isinstance(given, dict):
            for value in given.values():
                if isinstance(value, int) and value > min(MEMORY_MIB, SPINDLES):
                    return value
    return None


def _settings(configuration: Configuration) -> set[object]:
    """Return the values of all settings of instances, nodes and groups."""
    return {
        value
        for parameters in (
            *(each.beparams for each in configuration.instances.values()),
            *(each.ndparams for each in configuration.nodes.values()),
            *(each.ndparams for each in configuration.nodegroups.values()),
        )
        for value in dict(parameters).values()
    }


def every_acknowledged_setting_is_there(view: View) -> Iterator[str]:
    """Find settings that a job has made and that are gone, though nobody made them anew.

    Of each object that is still there, had no other name, and was changed by one job only.
    """
    asked = [*(op for told in view.people.jobs.values() for op in told.ops)]
    asked += view.people.unanswered
    renamed = {
        op[parameter]
        for op in asked
        if str(op["OP_ID"]).endswith("_RENAME")
        for parameter in (REMOVED[str(op["OP_ID"])][1], "new_name")
    }
    values, names = _settings(view.configuration), _names(view.configuration)
    names = {**names, "node": {each.name for each in view.configuration.nodes.values()}}
    tried: dict[tuple[object, object], set[int | None]] = {}
    for op in asked:
        for kind in names:
            if _own_setting(op) is not None and f"{kind}_name" in op:
                tried.setdefault((op["OP_ID"], op[f"{kind}_name"]), set()).add(_own_setting(op))
    for told, op, status in _done(view):
        value = _own_setting(op)
        if status != "success" or value is None:
            continue
        for kind, there in names.items():
            name = op.get(f"{kind}_name")
            if (
                name in there
                and name not in renamed
                and tried[op["OP_ID"], name] == {value}
                and value not in values
            ):
                yield f"job {told.id} gave {kind} {name} the setting {value}, and it is gone"
