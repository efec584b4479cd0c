"""Make and remove tap devices, with ``ip`` of iproute2."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

from attrs import frozen

from gantry.drivers.network.backends import NicBackend, Tap, choose_backend, tap_name
from gantry.protocols import codec
from gantry.protocols.runtime_types import DriverFailed, InstanceSpec, MissingPart
from gantry.runtime.environment import Environment

ALIAS_BYTES_MAX: Final = 255
"""IFALIASZ - 1."""

IP_DEADLINE_SECONDS: Final = 10.0

IPROUTE: Final = MissingPart("the program ip", "iproute2")

CAP_NET_ADMIN: Final = 12
"""The number of the right to make devices, capabilities(7)."""

_STATUS: Final = Path("/proc/self/status")


def may_administer_network(status: str) -> bool:
    """Whether ``/proc/PID/status`` says that its process may make network devices."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> CAP_NET_ADMIN & 1)
    return False


def device_names(answer: bytes) -> frozenset[str]:
    """Return the device names in an answer of ``ip -json link show``."""
    try:
        links = codec.from_bytes(answer or b"[]")
    except codec.Malformed as error:
        raise DriverFailed("ip link show", str(error)) from None
    rows = cast("list[object]", links) if isinstance(links, list) else []
    found = (cast("dict[str, object]", row).get("ifname") for row in rows if isinstance(row, dict))
    return frozenset(name for name in found if isinstance(name, str))


@frozen
class Taps:
    """The tap devices of one node's instances."""

    environment: Environment

    async def bridges(self) -> frozenset[str]:
        """Return the node's bridges; none if it lacks ``ip``."""
        return await self._devices("type", "bridge")

    async def plan(self, spec: InstanceSpec) -> tuple[NicBackend, ...]:
        """Decide how each NIC of an instance is connected; changes nothing."""
        if not spec.nics:
            return ()
        status = (await self.environment.files.read(_STATUS)).decode(errors="replace")
        bridges = await self.bridges()
        return tuple(
            choose_backend(
                nic,
                tap_name(self.environment.node, spec.uuid, index),
                bridges=bridges,
                may_make_taps=may_administer_network(status),
            )
            for index, nic in enumerate(spec.nics)
        )

    async def connect(self, backends: tuple[NicBackend, ...]) -> None:
        """Make the taps and put them on their bridges; what exists already is reused.

        Raises:
            DriverFailed: a tap could not be made; none is left.
        """
        existing = await self._devices() if any(isinstance(b, Tap) for b in backends) else ()
        try:
            for tap in backends:
                if isinstance(tap, Tap):
                    if tap.device not in existing:
                        await self._ip("tuntap", "add", "dev", tap.device, "mode", "tap")
                    # The alias says to people, and to tests, whose it is.
                    alias = str(self.environment.paths.root)[:ALIAS_BYTES_MAX]
                    marked = ("link", "set", tap.device, "alias", alias)
                    await self._ip(*marked, "master", tap.bridge, "up")
        except BaseException:
            await self.disconnect(backends)
            raise

    async def disconnect(self, backends: tuple[NicBackend, ...]) -> None:
        """Remove the taps that exist."""
        if not any(isinstance(b, Tap) for b in backends):
            return
        existing = await self._devices()
        for tap in backends:
            if isinstance(tap, Tap) and tap.device in existing:
                await self._ip("link", "delete", tap.device)

    async def _devices(self, *selection: str) -> frozenset[str]:
        if self.environment.processes.find("ip") is None:
            return frozenset()
        return device_names(await self._ip("-json", "link", "show", *selection))

    async def _ip(self, *arguments: str) -> bytes:
        argv = ["ip", *arguments]
        ended = await self.environment.processes.run(argv, deadline_seconds=IP_DEADLINE_SECONDS)
        if ended.status != 0:
            raise DriverFailed(" ".join(argv), ended.output.decode(errors="replace").strip())
        return ended.output
