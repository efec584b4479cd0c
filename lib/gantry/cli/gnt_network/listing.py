"""``gnt-network list`` and ``list-fields``."""

from __future__ import annotations

from gantry.cli.cell_text import comma_joined
from gantry.cli.listing import Listing, list_commands


def groups_text(content: object) -> str:
    """Return connected groups as ``name (mode, link, vlan)``, with commas between them."""
    if not isinstance(content, list):
        return str(content)
    return ", ".join(
        f"{each[0]} ({', '.join(map(str, each[1:]))})" if isinstance(each, list) else str(each)
        for each in content
    )


COMMANDS = list_commands(
    Listing(
        "network",
        ("name", "network", "gateway", "mac_prefix", "group_list", "tags"),
        {"group_list": groups_text, "inst_list": comma_joined, "tags": comma_joined},
        has_units=False,
        has_filter=False,
    )
)
