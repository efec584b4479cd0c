"""``python -m gantry.cli.demo up|down``: what ``make demo`` runs."""

from __future__ import annotations

import sys

from gantry.cli.demo.main import main

sys.exit(main(sys.argv[1:]))
