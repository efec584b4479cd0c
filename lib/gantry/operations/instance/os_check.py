"""Whether a node can install an OS definition."""

from __future__ import annotations

from collections.abc import Iterable

from gantry.operations.world import World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.node import Node
from gantry.protocols.runtime_types import OsDefinition


async def check_os(
    world: World, node: Node, os_type: str, parameters: Iterable[str], *, force_variant: bool
) -> None:
    """Refuse an OS definition, variant or parameter that the node does not have.

    Args:
        world: where the node is asked.
        node: where the OS definition has to be.
        os_type: its name, with ``+`` and the variant.
        parameters: the names of the OS parameters that are given.
        force_variant: whether a variant that it does not list will do.

    Raises:
        OpPrereqError: with what there is.
    """
    name, _, variant = os_type.partition("+")
    found = await world.ask(node, lambda n: n.os_definitions())
    definition = next((each for each in found if each.name == name), None)
    if definition is None:
        known = ", ".join(sorted(each.name for each in found)) or "none"
        text = f"OS definition {name} is not on node {node.name}; there are: {known}"
        raise OpPrereqError(text, "unknown_entity")
    if not definition.ok:
        text = f"OS definition {name} on node {node.name} is not usable: {definition.problem}"
        raise OpPrereqError(text, "wrong_state")
    if not force_variant:
        _check_variant(definition, variant)
    known_params = {parameter.lower() for parameter, _ in definition.parameters}
    if unknown := sorted(p for p in set(parameters) if p.lower() not in known_params):
        raise OpPrereqError(f"OS definition {name} has no parameter {', '.join(unknown)}")


def _check_variant(definition: OsDefinition, variant: str) -> None:
    if not definition.variants and variant:
        raise OpPrereqError(f"OS definition {definition.name} has no variants")
    if definition.variants and variant not in definition.variants:
        known = ", ".join(definition.variants)
        raise OpPrereqError(f"OS definition {definition.name} has the variants {known}: name one")
