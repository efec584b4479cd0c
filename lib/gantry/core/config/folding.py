"""Folding committed records into ``config.data`` without making objects of it.

A replica holds the file's JSON value and nothing else: what a record says is put where it belongs,
which costs what the record costs. The rules were checked when the change was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, cast

from attrs import evolve

from gantry.protocols.codec import Json
from gantry.protocols.config_records import (
    LOG_KEY,
    ConfigRecord,
    JobsKeys,
    LogPosition,
    UsedKey,
    dump_position,
    load_position,
    load_record,
)
from gantry.protocols.objects.configuration import GANTRY_KEY, LEFTOVERS_KEY
from gantry.protocols.records import Record, origin_of
from gantry.protocols.replication import NOTHING, LogEnd
from gantry.protocols.wconfd import ObjectKind, ObjectPut

PLACES: Final[Mapping[ObjectKind, str]] = {
    "node": "nodes",
    "nodegroup": "nodegroups",
    "disk": "disks",
    "instance": "instances",
    "network": "networks",
    "filter": "filters",
}
"""Where the objects of a kind are in the file, disks before the instances that they belong to;
left-overs are under our own key."""


def fold(value: Mapping[str, Json], records: Iterable[Record]) -> dict[str, Json]:
    """Return the value of ``config.data`` after some records; the given one is not changed.

    Raises:
        gantry.protocols.codec.Malformed: a record is of an unknown form.
    """
    result = dict(value)
    for place in PLACES.values():
        result[place] = dict(cast("Mapping[str, Json]", value.get(place, {})))
    gantry = dict(cast("Mapping[str, Json]", value.get(GANTRY_KEY) or {}))
    leftovers = dict(cast("Mapping[str, Json]", gantry.pop(LEFTOVERS_KEY, {})))
    position = load_position(gantry.get(LOG_KEY))
    jobs = {each.job: each for each in position.jobs}
    for record in records:
        change = load_record(record.payload)
        _put(result, leftovers, change)
        for job in change.over:
            jobs.pop(job, None)
        key = change.key
        used = jobs.pop(key.job).used if key.job in jobs else ()
        new = UsedKey(key, change.digest, record.index)
        jobs[key.job] = JobsKeys(key.job, change.attempt, (*used, new))
        position = LogPosition(record.epoch, record.index, record.checksum)
    gantry[LOG_KEY] = dump_position(evolve(position, jobs=tuple(jobs.values())))
    result[GANTRY_KEY] = {**gantry, LEFTOVERS_KEY: leftovers} if leftovers else gantry
    return result


def _put(result: dict[str, Json], leftovers: dict[str, Json], change: ConfigRecord) -> None:
    for each in change.objects:
        if each.of == "cluster" and isinstance(each, ObjectPut):
            result["cluster"] = each.value
        elif each.of == "leftover" or each.of in PLACES:
            found = leftovers if each.of == "leftover" else result[PLACES[each.of]]
            objects = cast("dict[str, Json]", found)
            if isinstance(each, ObjectPut):
                objects[each.uuid] = each.value
            else:
                objects.pop(each.uuid, None)
    result["serial_no"], result["mtime"] = change.serial_no, change.mtime


def candidate_certificates(value: Json, records: Iterable[Record] = ()) -> Mapping[str, str] | None:
    """Return the digests of the candidates' certificates by node UUID, as of the newest record.

    Args:
        value: a ``config.data``, or ``None``.
        records: what follows it; only these count if ``value`` is ``None``.

    Returns:
        ``None`` if neither says anything about them.
    """
    cluster = value.get("cluster") if isinstance(value, dict) else None
    for record in records:
        for each in load_record(record.payload).objects:
            if each.of == "cluster" and isinstance(each, ObjectPut):
                cluster = each.value
    certificates = cluster.get("candidate_certs") if isinstance(cluster, dict) else None
    if not isinstance(certificates, dict):
        return None
    return {uuid: str(digest) for uuid, digest in certificates.items()}


def end_of_file(value: Mapping[str, Json]) -> LogEnd:
    """Return up to where a ``config.data`` holds the log.

    Raises:
        gantry.protocols.codec.Malformed: what stands under ``gantry`` is not ours.
    """
    gantry = value.get(GANTRY_KEY)
    saved = gantry.get(LOG_KEY) if isinstance(gantry, dict) else None
    if saved is None:
        cluster = value.get("cluster")
        uuid = cluster.get("uuid") if isinstance(cluster, dict) else None
        place = NOTHING.position if uuid is None else origin_of(str(uuid))
        return LogEnd(NOTHING.epoch, place.index, place.checksum)
    position = load_position(saved)
    return LogEnd(position.epoch, position.index, position.checksum)
