"""A node below a temporary folder, with the real file system and processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.protocols.identity import DiskUuid, InstanceUuid, NicUuid, NodeUuid
from gantry.protocols.runtime_types import DiskSpec, InstanceSpec, NicSpec
from gantry.runtime.environment import Environment
from gantry.runtime.real import real_environment


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return node_below(tmp_path, "node1")


def node_below(folder: Path, name: str) -> Environment:
    (folder / name).mkdir()
    return real_environment({"GANTRY_ROOT": str(folder / name), "PATH": os.environ["PATH"]})


@pytest.fixture
def spec() -> InstanceSpec:
    return InstanceSpec(
        uuid=InstanceUuid("10000000-0000-4000-8000-000000000001"),
        name="web1.example.com",
        hypervisor="fake",
        os="tiny+blue",
        minmem_mib=64,
        maxmem_mib=128,
        vcpus=2,
        primary_node=NodeUuid("a0000000-0000-4000-8000-000000000001"),
        secondary_nodes=(NodeUuid("a0000000-0000-4000-8000-000000000002"),),
        disks=(
            DiskSpec(
                DiskUuid("d0000000-0000-4000-8000-000000000001"),
                0,
                "file",
                8,
                "/srv/ganeti/file-storage/web1.example.com/disk0",
                name="root",
            ),
        ),
        nics=(
            NicSpec(
                NicUuid("b0000000-0000-4000-8000-000000000001"),
                "aa:00:00:00:00:01",
                "bridged",
                "br0",
                ip="192.0.2.7",
            ),
        ),
        hvparams={"acpi": True, "nic_type": "paravirtual", "root_path": None},
        osparams={"tick": "2", "dash-ed": "x"},
        ctime=1.5,
        mtime=2.0,
    )
