"""The drivers that there are, by the names of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.drivers.hypervisor.fake import FakeHypervisor
from gantry.drivers.hypervisor.kvm.driver import KvmHypervisor
from gantry.drivers.hypervisor.port import Hypervisor
from gantry.drivers.storage.files import FileStorage
from gantry.drivers.storage.port import Storage
from gantry.protocols.runtime_types import FileTemplate, HypervisorName
from gantry.runtime.environment import Environment


def hypervisors(environment: Environment, address: str) -> Mapping[HypervisorName, Hypervisor]:
    """Return a node's hypervisors, usable here or not.

    Args:
        environment: the node.
        address: its own address, for incoming migrations.
    """
    return {
        "fake": FakeHypervisor(environment),
        "kvm": KvmHypervisor(environment, address),
    }


async def storages(environment: Environment) -> Mapping[FileTemplate, Storage]:
    """Return a node's storages, reading anew which paths it allows."""
    return {
        "file": await FileStorage.of(environment, "file"),
        "sharedfile": await FileStorage.of(environment, "sharedfile"),
    }
