"""``gnt-group list`` and ``list-fields``."""

from __future__ import annotations

from gantry.cli.cell_text import comma_joined
from gantry.cli.listing import Listing, list_commands


def parameters_text(content: object) -> str:
    """Return parameters as ``key=value, ...``; whole numbers have no fraction."""
    if not isinstance(content, dict):
        return str(content)
    return ", ".join(f"{name}={_whole(value)}" for name, value in content.items())


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


COMMANDS = list_commands(
    Listing(
        "group",
        ("name", "node_cnt", "pinst_cnt", "alloc_policy", "ndparams"),
        {"node_list": comma_joined, "pinst_list": comma_joined, "ndparams": parameters_text},
        has_units=False,
    )
)
