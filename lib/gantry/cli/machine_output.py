"""Output for programs: JSON and YAML."""

from __future__ import annotations

import json

from gantry.cli import exit_codes
from gantry.cli.errors import CommandError


def render(value: object, form: str) -> str:
    """Return a JSON value as ``json`` or ``yaml`` text that ends with a line break.

    Raises:
        CommandError: PyYAML is not installed.
    """
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        import yaml
    except ImportError:
        raise CommandError(
            "--format yaml needs PyYAML; install the package python3-yaml", exit_codes.FAILURE
        ) from None
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text
