"""``gnt-node list`` and ``list-fields``."""

from __future__ import annotations

from gantry.cli.cell_text import comma_joined
from gantry.cli.listing import Listing, list_commands

COMMANDS = list_commands(
    Listing(
        "node",
        ("name", "dtotal", "dfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt"),
        dict.fromkeys(("pinst_list", "sinst_list", "tags"), comma_joined),
    )
)
