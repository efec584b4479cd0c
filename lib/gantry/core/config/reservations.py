"""Values that jobs keep for themselves until the configuration holds them or the job ends.

Two jobs that are making instances at the same time must not choose the same name, MAC or
address, although neither is in the configuration yet.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, assert_never

from attrs import field, frozen
from immutables import Map

from gantry.core.config.addresses import free_addresses, is_reserved, place_of
from gantry.core.config.claims import Claim, Space, address_claim, kind_of, minor_claim, shown
from gantry.core.config.cluster_changes import PORTS
from gantry.core.config.state import State
from gantry.protocols.errors import BadCall
from gantry.protocols.identity import JobId, NetworkUuid, NodeUuid
from gantry.protocols.objects.network import Network
from gantry.protocols.wconfd import Reserved, Taken, Want, WantedKind

MINORS_MAX: Final = 1 << 20
"""Linux has 20 bits for the number of a device."""

SECRET_BYTES: Final = 20
"""Of a mirrored disk's secret, as in Ganeti."""

TRIES_MAX: Final = 64
"""How many random MACs are tried before the prefix counts as used up, as in Ganeti."""


@frozen
class Reservations:
    """Who has reserved what."""

    holders: Map[Claim, JobId] = field(factory=Map)
    by_job: Map[JobId, Map[Claim, None]] = field(factory=Map)

    def holder(self, claim: Claim) -> JobId | None:
        """Return the job that has reserved a value."""
        return self.holders.get(claim)

    def of(self, job: JobId) -> tuple[Claim, ...]:
        """Return what a job has reserved, sorted."""
        return tuple(sorted(self.by_job.get(job, Map[Claim, None]())))

    def with_claims(self, job: JobId, claims: Iterable[Claim]) -> Reservations:
        """Return the reservations with more of a job's."""
        holders, mine = self.holders, self.by_job.get(job, Map[Claim, None]())
        for claim in claims:
            holders, mine = holders.set(claim, job), mine.set(claim, None)
        return Reservations(holders, self.by_job.set(job, mine) if mine else self.by_job)

    def without_job(self, job: JobId) -> Reservations:
        """Return the reservations without a job's."""
        if job not in self.by_job:
            return self
        holders = self.holders
        for claim in self.by_job[job]:
            holders = holders.delete(claim)
        return Reservations(holders, self.by_job.delete(job))


@frozen
class Draws:
    """Random bytes, drawn one block after the other from a seed that nobody can guess."""

    seed: bytes

    def blocks(self) -> Iterator[bytes]:
        """Return blocks of 16 bytes."""
        for number in range(TRIES_MAX):
            yield hashlib.blake2b(b"%d" % number, key=self.seed[:64], digest_size=16).digest()

    def secret(self) -> str:
        """Return what the two ends of a mirrored disk know, in hexadecimal."""
        drawn = hashlib.blake2b(b"secret", key=self.seed[:64], digest_size=SECRET_BYTES)
        return drawn.hexdigest()


def reserve(
    state: State, reservations: Reservations, job: JobId, wants: tuple[Want, ...], seed: bytes
) -> tuple[Reservations, Reserved | Taken]:
    """Reserve values for a job, all or none.

    Args:
        state: the configuration; what it holds is not free.
        reservations: what is reserved already; a job may ask again for what it has.
        job: for whom.
        wants: which values.
        seed: at least 16 fresh random bytes.

    Raises:
        BadCall: a wanted value can not be made up, or a network or node does not exist.
    """
    after, values = reservations, list[str]()
    for number, want in enumerate(wants):
        draws = Draws(seed + b"%d" % number)
        if want.kind == "secret":
            if want.value is not None:
                raise BadCall("reserve", "a secret is drawn and can not be asked for")
            values.append(draws.secret())  # nobody draws it twice: there is nothing to keep
            continue
        chosen = _choose(state, after, job, want, draws)
        if isinstance(chosen, Taken):
            return reservations, chosen
        claim, value = chosen
        after = after.with_claims(job, [claim])
        values.append(value)
    return after, Reserved(tuple(values))


def restored(
    state: State, reservations: Reservations, job: JobId, wants: Iterable[Want]
) -> Reservations:
    """Return the reservations with those that a job is known to have; others' stay theirs.

    What a job has reserved may be in the configuration by now, and is still reserved.

    Raises:
        BadCall: a network does not exist any more.
    """
    claims = [_claim(state, want, want.value) for want in wants if want.value is not None]
    return reservations.with_claims(
        job, [claim for claim in claims if reservations.holder(claim) is None]
    )


def _choose(
    state: State, reservations: Reservations, job: JobId, want: Want, draws: Draws
) -> tuple[Claim, str] | Taken:
    if want.value is not None:
        return _take(state, reservations, job, want, want.value)
    for value in _candidates(state, reservations, want, draws):
        claim = _claim(state, want, value)
        if state.owner_of(claim) is None and reservations.holder(claim) is None:
            return claim, value
        # A port of the pool is the cluster's claim, and just what is to be given out.
        if want.kind == "port" and reservations.holder(claim) is None and _pooled(state, value):
            return claim, value
    return Taken(want.kind, want.network or want.node or "", "all of them are in use")


def _take(
    state: State, reservations: Reservations, job: JobId, want: Want, value: str
) -> tuple[Claim, str] | Taken:
    claim = _claim(state, want, value)
    holder = reservations.holder(claim)
    if holder is not None and holder != job:
        return Taken(want.kind, value, f"job {holder}")
    owner = state.owner_of(claim)
    if owner is not None and not (want.kind == "port" and _pooled(state, value)):
        return Taken(want.kind, value, f"{kind_of(owner)} {shown(owner)}")
    if want.kind == "ip" and holder is None:
        network = _network(state, want)
        place = place_of(network, value)
        if place is None:
            raise BadCall("reserve", f"{value} is not an address in network {network.name}")
        if is_reserved(network, place):
            return Taken(want.kind, value, f"network {network.name}")
    return claim, value


def _pooled(state: State, port: str) -> bool:
    return port.isdecimal() and int(port) in state.configuration.cluster.tcpudp_port_pool


SPACES: Final[Mapping[WantedKind, Space]] = {
    "instance name": "instance name",
    "node name": "node name",
    "node group name": "node group name",
    "network name": "network name",
    "mac": "MAC address",
    "uuid": "uuid",
    "port": "TCP port",
    "lv": "logical volume",
}


def _claim(state: State, want: Want, value: str) -> Claim:
    if want.kind == "ip":
        return address_claim(_network(state, want).uuid, value)
    if want.kind == "minor":
        return minor_claim(_node(state, want), value)
    return Claim(SPACES[want.kind], value.lower() if want.kind == "mac" else value)


def _network(state: State, want: Want) -> Network:
    network = state.configuration.networks.get(NetworkUuid(want.network or ""))
    if network is None:
        raise BadCall("reserve", f"there is no network with the UUID {want.network!r}")
    return network


def _node(state: State, want: Want) -> NodeUuid:
    node = state.configuration.nodes.get(NodeUuid(want.node or ""))
    if node is None:
        raise BadCall("reserve", f"there is no node with the UUID {want.node!r}")
    return node.uuid


def _candidates(
    state: State, reservations: Reservations, want: Want, draws: Draws
) -> Iterator[str]:
    match want.kind:
        case "mac":
            return _macs(state, want, draws)
        case "uuid":
            return (str(uuid.UUID(bytes=block, version=4)) for block in draws.blocks())
        case "port":
            cluster = state.configuration.cluster
            fresh = range(max(cluster.highest_used_port + 1, PORTS.start), PORTS.stop)
            return (str(port) for port in (*cluster.tcpudp_port_pool, *fresh))
        case "ip":
            return free_addresses(_network(state, want))
        case "minor":
            return map(str, range(MINORS_MAX))
        case "secret":
            return iter((draws.secret(),))
        case "instance name" | "node name" | "node group name" | "network name" | "lv":
            raise BadCall("reserve", f"a {want.kind} can not be made up: say which one is wanted")
        case _:
            assert_never(want.kind)


def _macs(state: State, want: Want, draws: Draws) -> Iterator[str]:
    prefix = state.configuration.cluster.mac_prefix
    if want.network is not None:
        prefix = _network(state, want).mac_prefix or prefix
    for block in draws.blocks():
        yield ":".join([prefix, *(f"{byte:02x}" for byte in block[:3])])
