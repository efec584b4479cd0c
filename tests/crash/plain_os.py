"""The OS definition ``plain``: it writes the instance's name onto the first disk, and no more."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.development import DevCluster

NAME = "plain"
SCRIPTS = {
    "create": 'printf "%s" "$INSTANCE_NAME" | dd of="$DISK_0_PATH" conv=notrunc status=none',
    "rename": 'printf "%s" "$INSTANCE_NAME" | dd of="$DISK_0_PATH" conv=notrunc status=none',
    "import": "exit 1",
    "export": "exit 1",
    "verify": "exit 0",
}


def install_plain_os(cluster: DevCluster, **scripts: str) -> None:
    """Put the definition on every node; other texts of its scripts may be given."""
    for node in cluster.layout.nodes:
        folder = node.root / "srv/ganeti/os" / NAME
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ganeti_api_version").write_text("20\n")
        (folder / "parameters.list").write_text("word any text\nsecret_word any secret text\n")
        for name, text in {**SCRIPTS, **scripts}.items():
            _write_script(folder / name, text)


def _write_script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
