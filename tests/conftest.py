"""For all tests: the run's own folder for sockets, the check that nothing is left, the time budget.

Property tests draw the same examples in every run, so that a red build is a red build. To search
for new ones: ``pytest --hypothesis-profile=search tests/property``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.leaks import leaks
from tests.time_budget import TimeBudget

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--time-budget", action="store_true", help="say how long each part took")
    parser.addoption("--chaos-minutes", default="1", help="how long the cluster is broken")
    parser.addoption("--chaos-hypervisor", default="fake", choices=("fake", "kvm"), help="which")
    parser.addoption("--chaos-seed", default="1", help="which disasters strike")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--time-budget"):
        processes = config.getoption("numprocesses", None) or 1
        config.pluginmanager.register(TimeBudget(processes))


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
