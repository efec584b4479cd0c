"""For all tests: the run's own folder for sockets, and the check that nothing is left."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.leaks import leaks


@pytest.fixture(scope="session", autouse=True)
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the session a short folder for sockets, and fail if anything of the run is left."""
    sockets = Path(tempfile.mkdtemp(prefix="gantry-test-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(sockets))
        yield sockets
    left = leaks([tmp_path_factory.getbasetemp(), sockets])
    shutil.rmtree(sockets, ignore_errors=True)
    if left:
        lines = "\n".join(f"  {leak.kind}: {leak.what}" for leak in left)
        pytest.fail(f"this test run has left behind:\n{lines}", pytrace=False)
