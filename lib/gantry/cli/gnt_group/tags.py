"""Tags of node groups."""

from __future__ import annotations

from gantry.cli.tags import tag_commands

COMMANDS = tag_commands("nodegroup")
