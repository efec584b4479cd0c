"""What looks after the daemons of this machine: systemd, a development cluster, or nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DEVELOPMENT: Final = "GANTRY_DEVCLUSTER"
"""Set in the processes of a development cluster, whose supervisor starts the daemons."""

SYSTEMD: Final = Path("/run/systemd/system")
"""There if systemd runs (sd_booted(3))."""
