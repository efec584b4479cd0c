"""Taking a cluster over from Ganeti: what may be taken over, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import evolve

from gantry.core.config.state import State
from gantry.core.config.verify import verify
from gantry.core.ssconf import ssconf_values
from gantry.protocols.codec import Malformed, from_bytes
from gantry.protocols.config_records import SOURCE_KEY, Source, dump_source
from gantry.protocols.errors import GantryError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.objects.configuration import (
    GANTRY_KEY,
    READABLE_VERSIONS,
    Configuration,
    load_configuration,
)
from gantry.protocols.objects.node import Node
from gantry.protocols.parameters.parameter_set import BadParameter
from gantry.protocols.wconfd import Invariant

FATAL: Final = frozenset(
    {
        "values are unique",
        "references resolve",
        "some hypervisor is enabled",
        "hypervisors have parameters",
        "some disk template is enabled",
        "the master is a candidate",
    }
)
"""Rules without which nothing works. What breaks another one is told, and can be mended later."""

TOLD_MAX: Final = 20
"""So many broken rules are told; whoever has more begins with these."""


class TakeoverRefused(GantryError, ValueError):
    """A cluster can not be taken over; nothing was changed. The text says why."""


def parse_source(data: bytes, name: str) -> Configuration:
    """Parse Ganeti's ``config.data``.

    Args:
        data: its content.
        name: the file's name, for errors.

    Raises:
        TakeoverRefused: it is none, or of a version that is not read, or Gantry's own.
    """
    try:
        value = from_bytes(data)
    except Malformed as error:
        raise TakeoverRefused(f"{name} is no config.data: {error}") from error
    if not isinstance(value, dict) or "cluster" not in value or "version" not in value:
        raise TakeoverRefused(f"{name} is no config.data: it describes no cluster")
    if GANTRY_KEY in value:
        text = f"{name} is Gantry's own configuration already; gantry export gives Ganeti's form"
        raise TakeoverRefused(text)
    if value["version"] not in READABLE_VERSIONS:
        readable = " or ".join(map(str, READABLE_VERSIONS))
        raise TakeoverRefused(
            f"{name} has version {value['version']!r}, and only {readable} can be taken over; "
            "bring it to one of them with Ganeti's own upgrade first"
        )
    try:
        return load_configuration(value)
    except Malformed as error:
        raise TakeoverRefused(f"{name} does not fit Ganeti's schema: {error}") from error


def check_master(configuration: Configuration, node: str, address: str) -> Node:
    """Return the master, which this machine must be.

    Raises:
        TakeoverRefused: it is another one.
    """
    master = configuration.nodes.get(configuration.cluster.master_node)
    if master is None:
        raise TakeoverRefused("the configuration names a master node that it does not have")
    if master.name != node:
        raise TakeoverRefused(
            f"the master of this cluster is {master.name}, and this machine is {node}; "
            f"take it over on {master.name}"
        )
    if master.primary_ip != address:
        raise TakeoverRefused(
            f"this machine's address is {address}, and the configuration says {master.primary_ip} "
            f"of {node}; correct /etc/hosts or the DNS"
        )
    return master


def check_rules(configuration: Configuration) -> tuple[Invariant, ...]:
    """Return the broken rules that can be lived with.

    Raises:
        TakeoverRefused: a rule is broken without which nothing works.
    """
    broken = verify(State.of(configuration))
    fatal = [each for each in broken if each.rule in FATAL]
    if fatal:
        text = "\n".join(("the configuration is broken; mend it with Ganeti first:", *told(fatal)))
        raise TakeoverRefused(text)
    try:
        ssconf_values(configuration)
    except BadParameter as error:
        raise TakeoverRefused(f"the configuration is broken; mend it first: {error}") from error
    return broken


def told(broken: Iterable[Invariant]) -> list[str]:
    """Return a line for each of the first broken rules."""
    lines = [f"  {each.kind} {each.object}: {each.text} ({each.rule})" for each in broken]
    more = len(lines) - TOLD_MAX
    return lines[:TOLD_MAX] + ([f"  and {more} more"] if more > 0 else [])


def taken_over(configuration: Configuration, digests: Mapping[NodeUuid, str]) -> Configuration:
    """Return the configuration with the new certificates of its master candidates.

    Serial numbers and times stay, so that an export gives the source again.

    Args:
        configuration: the source.
        digests: the digest of each node's new certificate.
    """
    cluster = configuration.cluster
    candidates = [node.uuid for node in configuration.nodes.values() if node.master_candidate]
    listed = {uuid: digests[uuid] for uuid in sorted(candidates)}
    source = dump_source(Source(cluster.candidate_certs))
    return evolve(
        configuration,
        cluster=evolve(cluster, candidate_certs=listed),
        gantry=configuration.gantry.set(SOURCE_KEY, source),
    )
