"""All of the configuration that queries look at, read at one moment."""

from __future__ import annotations

from typing import Final

from immutables import Map

from gantry.core.query.view import View
from gantry.operations.world import World
from gantry.protocols.objects.configuration import Configuration
from gantry.protocols.wconfd import ConfigPart, Selection

EVERYTHING: Final = Selection(nodes="all", groups="all", instances="all", networks="all")


async def read_view(world: World) -> View:
    """Return what queries see of the configuration; its serial number is not part of that."""
    return view_of(await world.read(EVERYTHING))


def view_of(part: ConfigPart) -> View:
    """Return a part of the configuration as queries see it."""
    configuration = Configuration(
        version=part.version,
        cluster=part.cluster,
        nodes=Map({each.uuid: each for each in part.nodes.values()}),
        nodegroups=Map({each.uuid: each for each in part.groups.values()}),
        instances=Map({each.uuid: each for each in part.instances.values()}),
        networks=Map({each.uuid: each for each in part.networks.values()}),
        disks=Map({each.uuid: each for each in part.disks.values()}),
        filters=Map(),
        serial_no=0,
    )
    return View(configuration)
