"""The network interfaces of an instance that is to be made."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import islice
from typing import Final

from attrs import evolve, frozen

from gantry.operations.lookup import find_network
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import NetworkUuid, NicUuid
from gantry.protocols.objects.group import NodeGroup
from gantry.protocols.objects.instance import Nic
from gantry.protocols.objects.network import Network
from gantry.protocols.objects.vocabulary import Scalar
from gantry.protocols.opcodes.instance import OpInstanceCreate
from gantry.protocols.opcodes.vocabulary import NicParameters as GivenNic
from gantry.protocols.parameters.filled import filled_nicparams
from gantry.protocols.parameters.nic import NicParameters
from gantry.protocols.parameters.parameter_set import parse_edits
from gantry.protocols.wconfd import ConfigPart, Want

AUTO: Final = frozenset({None, "auto", "generate"})
NONE: Final = frozenset({None, "", "none"})
POOL: Final = "pool"

Given = GivenNic


@frozen
class WantedNic:
    """A NIC that was checked; what is its alone is still to be reserved."""

    wants: tuple[Want, ...]
    """A UUID, a MAC address and, if it is one of a network, an IP address."""
    nic: Nic
    """Without these."""

    def reserved(self, values: Iterator[str]) -> Nic:
        """Return the NIC with the next of the reserved values."""
        uuid, mac, *ip = islice(values, len(self.wants))
        return evolve(self.nic, uuid=NicUuid(uuid), mac=mac, ip=ip[0] if ip else self.nic.ip)


def wanted_nics(
    opcode: OpInstanceCreate, part: ConfigPart, group: NodeGroup
) -> tuple[WantedNic, ...]:
    """Check the NICs that are asked for.

    Raises:
        OpPrereqError: a parameter is wrong.
    """
    return tuple(_wanted(given, part, group) for given in opcode.nics)


def _wanted(given: Given, part: ConfigPart, group: NodeGroup) -> WantedNic:
    network = _network(given, part)
    params = _params(given, group, network)
    mac = given.get("mac")
    ip = _ip(given.get("ip"), network)
    wants = [Want("uuid"), Want("mac", None if mac in AUTO else _mac(mac), _uuid(network))]
    if network is not None and ip is not None:
        wants.append(Want("ip", None if ip == POOL else ip, network.uuid))
    nic = Nic(
        mac="",
        ip=ip,
        nicparams=params,
        network=_uuid(network),
        name=given.get("name") or None,
        uuid=NicUuid(""),
    )
    filled = filled_nicparams(part.cluster, nic)
    if filled.mode == "routed" and ip is None:
        raise OpPrereqError("a routed NIC needs an IP address (ip=...)")
    return WantedNic(tuple(wants), nic)


def _uuid(network: Network | None) -> NetworkUuid | None:
    return None if network is None else network.uuid


def _network(given: Given, part: ConfigPart) -> Network | None:
    name = given.get("network")
    return None if name is None or name in NONE else find_network(part, name)


def _params(given: Given, group: NodeGroup, network: Network | None) -> dict[str, Scalar]:
    own = {name: given[name] for name in ("mode", "link", "vlan") if given.get(name) is not None}
    if given.get("bridge") is not None:
        if "link" in own:
            raise OpPrereqError("give a NIC either 'link' or its older name 'bridge', not both")
        own["link"] = given["bridge"]
    if network is None:
        return dict(parse_edits(NicParameters, own).given)
    if own:
        text = f"the NIC's mode, link and vlan are given by its network {network.name}"
        raise OpPrereqError(text)
    if network.uuid not in group.networks:
        raise OpPrereqError(f"network {network.name} is not connected to node group {group.name}")
    return dict(group.networks[network.uuid])


def _mac(mac: str | None) -> str:
    parts = (mac or "").lower().split(":")
    if len(parts) != 6 or not all(len(p) == 2 and _is_hex(p) for p in parts):
        raise OpPrereqError(f"{mac!r} is not a MAC address; leave it out to have one made")
    return ":".join(parts)


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)


def _ip(ip: str | None, network: Network | None) -> str | None:
    if ip in NONE or ip is None:
        return None
    if ip == POOL:
        if network is None:
            raise OpPrereqError("ip=pool needs a network to take the address from (network=...)")
        return POOL
    try:
        return str(ip_address(ip))
    except ValueError:
        raise OpPrereqError(f"{ip!r} is not an IP address") from None
