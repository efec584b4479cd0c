"""The demo, as a newcomer runs it: it ends well, and nothing of it stays after it is taken down."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.guest

DEMO_SECONDS_MAX = 175
"""What is promised to a newcomer is three minutes."""


def demo(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gantry.cli.demo", command, "--dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEMO_SECONDS_MAX,
        check=False,
    )


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed")
def test_a_guest_boots_and_moves_while_it_counts(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    try:
        shown = demo("up", folder)
        assert shown.returncode == 0, shown.stdout
        assert "GUEST-UP" in shown.stdout
        assert "no gap" in shown.stdout
    finally:
        ended = demo("down", folder)
    assert ended.returncode == 0, ended.stdout
    assert not folder.exists()
