"""What is kept account of elsewhere than in the object that has it.

Disks are named by their place in their instance, network ports come from the cluster's pool, and
the addresses that interfaces have are marked in their networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve

from gantry.core.config.addresses import marked, place_of
from gantry.core.config.claims import Ref
from gantry.core.config.draft import Draft
from gantry.core.config.instance_rules import place_name
from gantry.protocols.identity import DiskUuid, NetworkUuid
from gantry.protocols.objects.disk import Disk, DrbdId
from gantry.protocols.objects.instance import Nic
from gantry.protocols.objects.network import Network


def ports_of(disks: Iterable[Disk]) -> list[int]:
    """Return the network ports over which disks are mirrored."""
    ids = [disk.logical_id for disk in disks]
    return [each.port for each in ids if isinstance(each, DrbdId)]


def name_disks(draft: Draft, old: Sequence[DiskUuid], new: Sequence[DiskUuid]) -> None:
    """Name an instance's disks by their places; what it has no more loses its name."""
    names = dict.fromkeys(set(old) - set(new), "")
    names |= {uuid: place_name(index) for index, uuid in enumerate(new)}
    for uuid, name in names.items():
        disk = draft.configuration.disks.get(uuid)
        if disk is not None:
            draft.replace(evolve(disk, iv_name=name))


def mark_addresses(draft: Draft, nics: Iterable[Nic], *, used: bool) -> None:
    """Mark the interfaces' addresses in their networks' bitmaps.

    The network's serial number and time stay, as in Ganeti.
    """
    for uuid, addresses in _addresses(nics).items():
        network = draft.get(Network, Ref("network", uuid))
        places = [place_of(network, ip) for ip in addresses if ip != network.gateway]
        known = [place for place in places if place is not None]
        after = marked(network, "reservations", known, taken=used)
        if after != network:
            draft.put(after)


def _addresses(nics: Iterable[Nic]) -> dict[NetworkUuid, list[str]]:
    found: dict[NetworkUuid, list[str]] = {}
    for nic in nics:
        if nic.network is not None and nic.ip is not None:
            found.setdefault(nic.network, []).append(nic.ip)
    return found
