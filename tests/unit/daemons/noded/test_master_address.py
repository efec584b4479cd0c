"""The cluster's address on a node: which programs run, with what, and what is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field
from typing_extensions import override

from gantry.daemons.noded import master_address as module
from gantry.daemons.noded.master_address import ClusterAddress
from gantry.drivers.network.announcing import announcement
from gantry.drivers.scripts.hooks import Hooks
from gantry.protocols.noded import MasterAddress, StepFailed
from gantry.runtime.environment import Environment, Finished
from gantry.runtime.testing.environment import NoProcesses, memory_environment
from gantry.runtime.testing.files import MemoryFiles

ADDRESS = MasterAddress("192.0.2.254", "br0", 32, 4, external_script=False)


@define
class Machine(NoProcesses):
    """A machine whose `ip` works, and with scripts that end as a test wants."""

    up: set[str] = field(factory=set)
    statuses: dict[str, int] = field(factory=dict)
    """By a script's path."""
    ran: list[tuple[list[str], Mapping[str, str]]] = field(factory=list)

    @override
    async def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        input_bytes: bytes = b"",
        deadline_seconds: float,
    ) -> Finished:
        await trio.lowlevel.checkpoint()
        self.ran.append(([*argv], environment or {}))
        match argv:
            case ["ip", "-o", "address", "show", "dev", "br0", "to", address]:
                shown = [each for each in self.up if each.startswith(f"{address}/")]
                return Finished(0, " ".join(shown).encode())
            case ["ip", "address", "add", address, "dev", "br0"]:
                self.up.add(address)
                return Finished(0, b"")
            case ["ip", "address", "del", address, "dev", "br0"]:
                self.up.remove(address)
                return Finished(0, b"")
            case [script, *_] if script in self.statuses:
                return Finished(self.statuses[script], b"said so")
            case _:
                raise FileNotFoundError(argv[0])


@define
class Stage:
    env: Environment
    machine: Machine
    files: MemoryFiles
    announced: list[tuple[str, str]]

    @property
    def address(self) -> ClusterAddress:
        return ClusterAddress(self.env, Hooks(self.env))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    files, machine = MemoryFiles(), Machine()
    env = evolve(memory_environment("node1.gnt.test", files), processes=machine)
    files.put_folder(env.paths.data)
    announced: list[tuple[str, str]] = []
    monkeypatch.setattr(module, "announce", lambda *what: announced.append(what))
    return Stage(env, machine, files, announced)


async def test_up_and_down_and_again(stage: Stage) -> None:
    await stage.address.bring_up(ADDRESS)
    await stage.address.bring_up(ADDRESS)
    assert stage.machine.up == {"192.0.2.254/32"}
    assert stage.announced == [("br0", "192.0.2.254")]
    await stage.address.take_down(ADDRESS)
    await stage.address.take_down(ADDRESS)
    assert stage.machine.up == set()


async def test_a_restarted_noded_lets_go_of_what_an_earlier_one_brought_up(stage: Stage) -> None:
    await stage.address.let_go()
    assert stage.machine.ran == []
    await stage.address.bring_up(ADDRESS)
    await stage.address.let_go()  # each has a new object
    assert stage.machine.up == set()


async def test_a_loopback_address_is_there_already(stage: Stage) -> None:
    await stage.address.bring_up(evolve(ADDRESS, address="127.1.2.254"))
    assert stage.machine.ran == []


async def test_the_administrators_script_takes_over(stage: Stage) -> None:
    script = "/etc/ganeti/scripts/master-ip-setup"
    external = evolve(ADDRESS, external_script=True)
    with pytest.raises(StepFailed, match="master-ip-setup is missing"):
        await stage.address.bring_up(external)
    stage.machine.statuses[script] = 0
    await stage.address.bring_up(external)
    await stage.address.take_down(external)
    told = {
        "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
        "MASTER_NETDEV": "br0",
        "MASTER_IP": "192.0.2.254",
        "MASTER_NETMASK": "32",
        "CLUSTER_IP_VERSION": "4",
    }
    assert stage.machine.ran[1:] == [([script, "start"], told), ([script, "stop"], told)]
    stage.machine.statuses[script] = 3
    with pytest.raises(StepFailed, match="ended with 3: said so"):
        await stage.address.bring_up(external)


def test_an_announcement_is_an_arp_request_for_oneself() -> None:
    frame = announcement(bytes.fromhex("02aabbccddee"), "192.0.2.254")
    assert frame == bytes.fromhex(
        "ffffffffffff 02aabbccddee 0806 0001 0800 06 04 0001"
        "02aabbccddee c00002fe 000000000000 c00002fe"
    )


def test_ipv6_neighbours_are_told_by_an_advertisement_that_overrides() -> None:
    frame = announcement(bytes.fromhex("02aabbccddee"), "2001:db8::254")
    target = "20010db8000000000000000000000254"
    everybody = "ff020000000000000000000000000001"
    assert frame == bytes.fromhex(
        f"333300000001 02aabbccddee 86dd 60000000 0020 3a ff {target} {everybody}"
        f"88 00 5a20 20000000 {target} 02 01 02aabbccddee"
    )
