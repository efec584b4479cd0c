"""The version of this program."""

from __future__ import annotations


def package_version() -> str:
    """Return the installed version of Gantry."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gantry")
    except PackageNotFoundError:
        return "unknown"


def version_line(program: str) -> str:
    """Return what ``--version`` prints."""
    return f"{program} (gantry) {package_version()}"
