"""The fields of OS definitions, as all nodes together see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from attrs import frozen

from gantry.core.query.fields import Field, Table, table
from gantry.core.query.sorting import nice_key
from gantry.protocols.codec import Json
from gantry.protocols.objects.cluster import Cluster
from gantry.protocols.runtime_types import OsDefinition


@frozen
class OsRow:
    """One OS definition."""

    name: str
    cluster: Cluster
    by_node: Mapping[str, tuple[OsDefinition, ...]]
    """By node name; of several on one node the first one counts."""

    @property
    def valid(self) -> bool:
        """Whether every node has it and it is usable there."""
        return all(found and found[0].ok for found in self.by_node.values())

    @property
    def trusted(self) -> bool:
        """Whether no node says that it is not to be trusted."""
        return all(found[0].trusted for found in self.by_node.values() if found)

    def common(self, values: Callable[[OsDefinition], tuple[Json, ...]]) -> list[Json]:
        """Return what the first definitions of all nodes have in common, if it is valid."""
        firsts = [found[0] for found in self.by_node.values() if found]
        if not self.valid or not firsts:
            return []
        rest = [values(each) for each in firsts[1:]]
        return [v for v in values(firsts[0]) if all(v in other for other in rest)]


def os_rows(cluster: Cluster, by_node: Mapping[str, Iterable[OsDefinition]]) -> list[OsRow]:
    """Return a row for every OS definition that a node has, by name."""
    found = {node: tuple(definitions) for node, definitions in by_node.items()}
    names = {each.name for definitions in found.values() for each in definitions}

    def on_nodes(name: str) -> dict[str, tuple[OsDefinition, ...]]:
        return {node: tuple(e for e in own if e.name == name) for node, own in found.items()}

    return [OsRow(name, cluster, on_nodes(name)) for name in sorted(names, key=nice_key)]


def _on_node(each: OsDefinition) -> list[Json]:
    return [
        each.path,
        each.ok,
        each.problem,
        list(each.variants),
        [list(parameter) for parameter in each.parameters],
        list(each.api_versions),
        each.trusted,
    ]


OS_DEFINITIONS: Final[Table[OsRow]] = table("os", "name", (
    Field("api_versions", "ApiVersions", "other", "Versions of the OS interface on all nodes",
          lambda r: (0, r.common(lambda each: each.api_versions)), "os"),
    Field("blacklisted", "Blacklisted", "bool", "Whether it may not be installed",
          lambda r: (0, r.name in r.cluster.blacklisted_os), "os"),
    Field("hidden", "Hidden", "bool", "Whether it is left out of lists",
          lambda r: (0, r.name in r.cluster.hidden_os), "os"),
    Field("name", "Name", "text", "Name of the definition", lambda r: (0, r.name), "os"),
    Field("node_status", "NodeStatus", "other", "What each node has under this name",
          lambda r: (0, {n: [_on_node(each) for each in f] for n, f in r.by_node.items()}), "os"),
    Field("os_hvp", "OsHypervisorParams", "other", "Its own hypervisor parameters",
          lambda r: (0, {hv: dict(p) for hv, p in r.cluster.os_hvp.get(r.name, {}).items()}), "os"),
    Field("osparams", "OsParameters", "other", "Its parameters' values for the whole cluster",
          lambda r: (0, dict(r.cluster.osparams.get(r.name, {}))), "os"),
    Field("parameters", "Parameters", "other", "Parameters that it has on all nodes",
          lambda r: (0, r.common(lambda e: tuple(list(pair) for pair in e.parameters))), "os"),
    Field("trusted", "Trusted", "bool", "Whether its scripts are trusted on all nodes",
          lambda r: (0, r.trusted), "os"),
    Field("valid", "Valid", "bool", "Whether it is usable on all nodes",
          lambda r: (0, r.valid), "os"),
    Field("variants", "Variants", "other", "Variants that it has on all nodes",
          lambda r: (0, r.common(lambda each: each.variants)), "os"),
))  # fmt: skip
