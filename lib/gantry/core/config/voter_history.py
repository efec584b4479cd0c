"""Who votes, as the records of a log say it one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from gantry.core.config.claims import Ref
from gantry.core.config.reign import NO_JOB
from gantry.core.config.state import load_stored, with_object, without_object
from gantry.core.replication.quorum import voters_of
from gantry.protocols.config_records import ConfigRecord, load_record
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.records import Index, Record
from gantry.protocols.wconfd import ObjectPut

NOTHING: Final = Index(0)


@frozen
class SetChanged:
    """The record at ``index`` changes the voters, who were the ``old`` ones before it."""

    index: Index
    old: frozenset[NodeUuid]


def last_change(
    configuration: Configuration, records: Iterable[Record], counted: Index = NOTHING
) -> SetChanged | None:
    """Return the last change of the voters that may be uncommitted.

    No other one may be uncommitted, since each waits for the one before.

    Args:
        configuration: before the records; it is committed.
        records: after it.
        counted: up to which of them it is known that they are committed, too.

    Raises:
        gantry.protocols.codec.Malformed: a record is of an unknown form.
    """
    found: SetChanged | None = None
    before = voters_of(configuration)
    for record in records:
        change = load_record(record.payload)
        configuration = _after(configuration, change)
        voters = voters_of(configuration)
        if change.key.job == NO_JOB and before - voters:
            found = None  # a reign that was begun without a majority: nobody else is asked
        elif change.key.job != NO_JOB and voters != before:
            found = SetChanged(record.index, before) if record.index > counted else None
        before = voters
    return found


def _after(configuration: Configuration, change: ConfigRecord) -> Configuration:
    """Return the configuration as far as it says who votes."""
    for each in change.objects:
        if each.of not in ("node", "cluster"):
            continue
        if isinstance(each, ObjectPut):
            configuration = with_object(configuration, load_stored(each.of, each.value))
        else:
            configuration = without_object(configuration, Ref(each.of, each.uuid))
    return configuration
