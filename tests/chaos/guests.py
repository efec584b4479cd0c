"""QEMU guests from outside: what their processes were told, and what they say themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from io import BufferedRWPair
from itertools import pairwise
from pathlib import Path
from typing import Final

import orjson
from attrs import frozen
from tests.chaos.processes import name_of
from tests.chaos.view import View
from tests.cluster.development import DevCluster
from tests.crash.jobs import paths_of

from gantry.cli.devcluster.found import FoundProcess
from gantry.drivers.hypervisor.kvm.command import Sockets
from gantry.drivers.hypervisor.kvm.record import SUFFIX, KvmFiles
from gantry.protocols.objects.disk import FileId
from gantry.protocols.objects.instance import Instance
from gantry.runtime.real import real_environment

ANSWER_SECONDS: Final = 10.0
PREFIX: Final = "kvm-"
"""Of the sockets' names."""


@frozen
class Told:
    """What a QEMU process was told at its start."""

    uuid: str
    macs: tuple[str, ...]
    taps: tuple[str, ...]
    disks: tuple[str, ...]


def _told(process: FoundProcess) -> Told:
    words = process.command.split()
    pairs = list(pairwise(words))
    parts = [part.partition("=") for _, value in pairs for part in value.split(",")]
    disks = [orjson.loads(value) for option, value in pairs if option == "-blockdev"]
    return Told(
        uuid=dict(pairs)["-uuid"],
        macs=tuple(value for name, _, value in parts if name == "mac"),
        taps=tuple(value for name, _, value in parts if name == "ifname"),
        disks=tuple(disk["file"]["filename"] for disk in disks),
    )


def differences(view: View) -> Iterator[str]:
    """Compare processes, sockets, taps and records with the configuration."""
    instances = {each.name: each for each in view.configuration.instances.values()}
    places = {(node, name_of(process)) for node, process in view.guests}
    taps: set[tuple[str, str]] = set()
    for node, process in view.guests:
        name, told = name_of(process), _told(process)
        taps.update((node, tap) for tap in told.taps)
        if name in instances:
            yield from _unlike(view, instances[name], told)
            if (state := _state(sockets_of(view.cluster, node, name).queries)) != "running":
                yield f"guest {name} on {node} is {state}"
    yield from (f"tap {tap} on {node} belongs to nothing" for node, tap in view.taps - taps)
    yield from (f"{node} has no tap {tap}" for node, tap in taps - view.taps)
    yield from _files(view, places)


def _unlike(view: View, instance: Instance, told: Told) -> Iterator[str]:
    if told.uuid != instance.uuid:
        yield f"guest {instance.name} is {told.uuid}, not {instance.uuid}"
    if told.macs != (macs := tuple(nic.mac for nic in instance.nics)):
        yield f"guest {instance.name} has the MACs {told.macs}, not {macs}"
    places = [view.configuration.disks[uuid].logical_id for uuid in instance.disks]
    disks = [place.path for place in places if isinstance(place, FileId)]
    if [is_now for is_now in told.disks if not is_now.endswith(tuple(disks))] or len(disks) != len(
        told.disks
    ):
        yield f"guest {instance.name} has the disks {told.disks}, not {disks}"


def _files(view: View, places: set[tuple[str, str]]) -> Iterator[str]:
    """Compare the files of NodeDs with the processes that there are."""
    wanted = {
        (node, path.name)
        for node, name in places
        for sockets in [sockets_of(view.cluster, node, name)]
        for path in (sockets.actions, sockets.queries, sockets.serial)
    }
    found = {(node, name) for node, name in view.sockets if name.startswith(PREFIX)}
    yield from (f"socket {name} on {node} belongs to nothing" for node, name in found - wanted)
    yield from (f"{node} has no socket {name}" for node, name in wanted - found)
    for node in view.cluster.layout.nodes:
        folder = paths_of(view.cluster, node.name).run / "kvm-hypervisor"
        for path in (*folder.glob(f"conf/*{SUFFIX}"), *folder.glob("pid/*")):
            if (node.name, path.name.removesuffix(SUFFIX)) not in places:
                yield f"{path} belongs to nothing"


def sockets_of(cluster: DevCluster, node: str, name: str) -> Sockets:
    """Return where an instance's process listens."""
    layout = cluster.layout
    return KvmFiles(real_environment(layout.variables(layout.node(node), {}))).sockets(name)


def _state(path: Path) -> str:
    """Ask a process for its state (QMP's ``query-status``)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
            with connection.makefile("rwb") as lines:
                lines.readline()  # the greeting
                _execute(lines, "qmp_capabilities")
                return str(_execute(lines, "query-status")["status"])
        except (OSError, orjson.JSONDecodeError) as error:
            return f"silent: {error}"


def _execute(lines: BufferedRWPair, command: str) -> dict[str, object]:
    lines.write(orjson.dumps({"execute": command}) + b"\n")
    lines.flush()
    while True:
        answer = orjson.loads(lines.readline())
        if "return" in answer:  # everything else is an event
            found: dict[str, object] = answer["return"]
            return found
