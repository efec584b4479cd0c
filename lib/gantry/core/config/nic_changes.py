"""Changes of instances' network interfaces."""

from __future__ import annotations

from typing import assert_never

from attrs import evolve

from gantry.core.config.breaches import broken
from gantry.core.config.claims import Ref
from gantry.core.config.draft import Draft, Refusal
from gantry.core.config.instance_changes import update_instance
from gantry.protocols.device_changes import AddNic, NicChange, RemoveNic, UpdateNic
from gantry.protocols.identity import NicUuid
from gantry.protocols.objects.instance import Instance


def change_nics(draft: Draft, change: NicChange) -> None:
    """Make a change of a network interface; its instance changes with it."""
    instance = draft.get(Instance, Ref("instance", change.instance))
    nics = list(instance.nics)
    match change:
        case AddNic(_, nic, index):
            place = len(nics) if index is None else index
            if not 0 <= place <= len(nics):
                text = f"has {len(nics)} interfaces, so that none can be put at the place {place}"
                raise Refusal(broken("interfaces stand side by side", instance, text))
            nics.insert(place, nic)
        case UpdateNic(_, nic):
            nics[_place(instance, nic.uuid)] = nic
        case RemoveNic(_, uuid):
            del nics[_place(instance, uuid)]
        case _:
            assert_never(change)
    update_instance(draft, evolve(instance, nics=tuple(nics)))


def _place(instance: Instance, uuid: NicUuid) -> int:
    for place, nic in enumerate(instance.nics):
        if nic.uuid == uuid:
            return place
    text = f"has no interface with the UUID {uuid}"
    raise Refusal(broken("the interface exists", instance, text))
