"""Tags of networks."""

from __future__ import annotations

from gantry.cli.tags import tag_commands

COMMANDS = tag_commands("network")
