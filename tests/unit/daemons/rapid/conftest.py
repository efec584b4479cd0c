"""RapiD over the recorded cluster."""

from pathlib import Path

import pytest
import trio
from tests.unit.daemons.rapid.rapi_world import World


@pytest.fixture
async def world(nursery: trio.Nursery, tmp_path: Path) -> World:
    return await World.made(nursery, tmp_path)
