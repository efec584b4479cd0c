"""Where the files are that come with Gantry beside its code: the shipped OS definitions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_CHECKOUT: Final = Path(__file__).parents[3] / "os"
_INSTALLED: Final = Path(sys.prefix) / "share" / "ganeti" / "os"

OS_FOLDER: Final = _CHECKOUT if _CHECKOUT.is_dir() else _INSTALLED
"""The shipped OS definitions, of a checkout or of an installed package."""
