"""Asking the RConfD of one node, as those do who do not trust the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.simulation.cluster import Cluster

from gantry.protocols.codec import Json
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.rconfd import LogOrder, Query, RequestType
from gantry.runtime.confd_client import ConfdClient, NoAnswer
from gantry.runtime.environment import Environment
from gantry.security.pem_files import HMAC_KEY

PATIENCE_SECONDS: Final = 3.0


async def facts_of(cluster: Cluster, name: str, configuration: Configuration) -> Mapping[str, Json]:
    """Return what the RConfD of a node says of the cluster; what it does not answer is missing."""
    facts: dict[str, Json] = {}

    async def ask(env: Environment) -> None:
        client = ConfdClient(env, await env.files.read(env.paths.data / HMAC_KEY))
        address = await env.address()
        questions: list[tuple[str, RequestType, Query]] = [
            ("the master", RequestType.CLUSTER_MASTER, None),
            ("the nodes", RequestType.NODE_IPS, None),
            ("the candidates", RequestType.CANDIDATE_IPS, None),
        ]
        for node in configuration.nodes.values():
            questions.append((f"instances of {node.name}", RequestType.NODE_INSTANCES, node.name))
            questions.append((f"role of {node.name}", RequestType.NODE_ROLE, node.name))
        for what, type_, query in questions:
            try:
                answer = await client.ask([address], type_, query, expiry_seconds=PATIENCE_SECONDS)
            except NoAnswer:
                return
            facts[what] = _plain(what, answer.reply.answer)

    await cluster.command(name, "check", ask)
    return facts


def _plain(what: str, answer: Json) -> Json:
    """Return an answer in a form that can be compared: names in their order."""
    if what.startswith("instances of") and isinstance(answer, list):
        primary = answer[0]
        assert isinstance(primary, list)
        return sorted(str(each["name"]) for each in primary if isinstance(each, dict))
    return sorted(map(str, answer)) if isinstance(answer, list) else answer


def expected_facts(configuration: Configuration) -> Mapping[str, Json]:
    """Return the same of a configuration."""
    nodes, master = configuration.nodes, configuration.cluster.master_node
    facts: dict[str, Json] = {
        "the master": nodes[master].name,
        "the nodes": sorted(node.primary_ip for node in nodes.values()),
        "the candidates": sorted(n.primary_ip for n in nodes.values() if n.master_candidate),
    }
    for node in nodes.values():
        here = [i.name for i in configuration.instances.values() if i.primary_node == node.uuid]
        facts[f"instances of {node.name}"] = sorted(here)
        roles = [node.uuid == master, node.master_candidate, node.offline, node.drained, True]
        facts[f"role of {node.name}"] = roles.index(True)
    return facts


async def place_of(cluster: Cluster, name: str) -> LogOrder | None:
    """Return which place in the log the RConfD of a node answers from."""
    found: list[LogOrder] = []

    async def ask(env: Environment) -> None:
        client = ConfdClient(env, await env.files.read(env.paths.data / HMAC_KEY))
        answer = await client.ask(
            [await env.address()],
            RequestType.CLUSTER_MASTER,
            expiry_seconds=PATIENCE_SECONDS,
        )
        if answer.reply.order is not None:
            found.append(answer.reply.order)

    await cluster.command(name, "check", ask)
    return found[0] if found else None
