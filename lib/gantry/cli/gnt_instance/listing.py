"""``gnt-instance list`` and ``list-fields``."""

from __future__ import annotations

from gantry.cli.cell_text import comma_joined
from gantry.cli.listing import Listing, list_commands

LIST_VALUED = (
    *("tags", "disk.names", "disk.sizes", "disk.spindles", "disk.uuids"),
    *("nic.bridges", "nic.ips", "nic.links", "nic.macs", "nic.modes", "nic.names"),
    *("nic.networks", "nic.networks.names", "nic.uuids", "nic.vlans"),
    *("snodes", "snodes.group", "snodes.group.uuid"),
)

COMMANDS = list_commands(
    Listing(
        "instance",
        ("name", "hypervisor", "os", "pnode", "status", "oper_ram"),
        dict.fromkeys(LIST_VALUED, comma_joined),
    )
)
