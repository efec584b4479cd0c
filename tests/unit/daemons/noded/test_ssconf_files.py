"""The ssconf files: a value that is too long for one keeps nothing else from its place."""

from __future__ import annotations

import pytest

from gantry.core.ssconf import VALUE_BYTES_MAX
from gantry.daemons.noded.cluster_files import ClusterFiles
from gantry.protocols.identity import Epoch
from gantry.protocols.noded import StepFailed
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles


def cluster_files() -> ClusterFiles:
    files = MemoryFiles()
    env = memory_environment("node2.gnt.test", files)
    files.put_folder(env.paths.data)
    return ClusterFiles(env)


async def test_a_value_that_is_too_long_has_no_file_and_the_others_have() -> None:
    files = cluster_files()
    await files.store_ssconf(
        Epoch(1), 1, frozenset(), {"instance_list": "old", "master_node": "node1"}
    )
    longest = "x" * (VALUE_BYTES_MAX - 1)
    await files.store_ssconf(
        Epoch(1), 2, frozenset(), {"instance_list": longest, "master_node": "node2"}
    )
    assert await files.ssconf("instance_list") == longest

    await files.store_ssconf(
        Epoch(1), 3, frozenset(), {"instance_list": longest + "x", "master_node": "node3"}
    )

    assert await files.ssconf("instance_list") is None
    assert await files.ssconf("master_node") == "node3"
    assert (await files.position()).serial == 3


async def test_a_key_that_is_no_name_writes_nothing() -> None:
    files = cluster_files()
    with pytest.raises(StepFailed, match="can not be the name of an ssconf file"):
        await files.store_ssconf(Epoch(1), 1, frozenset(), {"master_node": "node1", "../key": "x"})
    assert await files.ssconf("master_node") is None
