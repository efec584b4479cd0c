"""The cluster's address on this node: brought up where the master is, and taken down.

Ganeti's contract: hooks ``master-ip-turnup`` and ``master-ip-turndown`` around it, and
``scripts/master-ip-setup`` of an administrator in the place of what is done here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final, Literal

import trio
from attrs import define, field

from gantry.drivers.network.announcing import announce
from gantry.drivers.scripts.hooks import Hooks
from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.noded import MasterAddress, StepFailed
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log

FILE: Final = "master-address.json"
"""What this node has brought up: it is taken down as it was brought up."""

SCRIPT_SECONDS_MAX: Final = 60.0
SEARCH_PATH: Final = "/sbin:/bin:/usr/sbin:/usr/bin"

Verb = Literal["start", "stop"]

LOG: Final = Log("noded.address")


@define
class ClusterAddress:
    """Owns the cluster's address on this node."""

    _env: Environment
    _hooks: Hooks
    _lock: trio.Lock = field(factory=trio.Lock, init=False)

    async def bring_up(self, address: MasterAddress) -> None:
        """Bring the address up; one that is up stays so.

        Raises:
            StepFailed: it could not be; the text says why.
        """
        async with self._lock:
            await self._around("turnup", address, "start")
            data = to_bytes(dump(address))
            await self._env.files.write(self._env.paths.data / FILE, data)
        LOG.info("the cluster's address is up", address=address.address)

    async def take_down(self, address: MasterAddress) -> None:
        """Take the address down; one that is down stays so.

        Raises:
            StepFailed: it could not be; the text says why.
        """
        async with self._lock:
            await self._around("turndown", address, "stop")
            await self._env.files.remove(self._env.paths.data / FILE)
        LOG.info("the cluster's address is down", address=address.address)

    async def let_go(self) -> None:
        """Take down what this node has brought up, if anything; a failure is only logged."""
        try:
            raw = await self._env.files.read(self._env.paths.data / FILE)
        except FileNotFoundError:
            return
        try:
            await self.take_down(load(MasterAddress, from_bytes(raw)))
        except (Malformed, StepFailed, OSError) as error:
            LOG.warning("the cluster's address may still be up here", reason=str(error))

    async def _around(self, path: str, address: MasterAddress, verb: Verb) -> None:
        """Do it between its hooks; a hook before it may refuse."""
        is_loopback = _is_loopback(address)
        for failed in await self._run_hooks(path, "pre", address):
            raise StepFailed(f"hook {failed} refuses to {verb} the cluster's address")
        if address.external_script:
            await self._run_script(address, verb)
        elif not is_loopback:
            # All of 127.0.0.0/8 is the machine's own already.
            await self._set(address, verb)
        for failed in await self._run_hooks(path, "post", address):
            LOG.warning("a hook has failed", hook=failed)

    async def _run_hooks(
        self, path: str, phase: Literal["pre", "post"], address: MasterAddress
    ) -> list[str]:
        name = f"master-ip-{path}"
        told = {
            "GANETI_HOOKS_VERSION": "2",
            "GANETI_OP_CODE": f"OP_CLUSTER_IP_{path.upper()}",
            "GANETI_DATA_DIR": "/var/lib/ganeti",
            "GANETI_HOOKS_PHASE": phase,
            "GANETI_HOOKS_PATH": name,
            "GANETI_OBJECT_TYPE": "CLUSTER",
            "GANETI_MASTER": self._env.node,
            **{f"GANETI_{key}": value for key, value in _variables(address).items()},
        }
        results = await self._hooks.run(name, phase, told)
        return [f"{each.script}: {each.output}" for each in results if each.status == "fail"]

    async def _run_script(self, address: MasterAddress, verb: Verb) -> None:
        script = self._env.paths.etc / "scripts" / "master-ip-setup"
        told = {"PATH": SEARCH_PATH, **_variables(address)}
        await self._run([str(script), verb], told)

    async def _set(self, address: MasterAddress, verb: Verb) -> None:
        device = ["dev", address.interface]
        shown = await self._run(["ip", "-o", "address", "show", *device, "to", address.address])
        is_up = bool(shown.strip())
        if is_up == (verb == "start"):
            return
        what = f"{address.address}/{address.netmask}"
        await self._run(["ip", "address", "add" if verb == "start" else "del", what, *device])
        if verb == "start":
            try:
                await self._env.offload(lambda: announce(address.interface, address.address))
            except OSError as error:
                LOG.warning("the address was not announced", reason=str(error))

    async def _run(self, argv: list[str], told: Mapping[str, str] | None = None) -> str:
        try:
            ended = await self._env.processes.run(
                argv,
                environment={"PATH": SEARCH_PATH} if told is None else told,
                deadline_seconds=SCRIPT_SECONDS_MAX,
            )
        except FileNotFoundError as error:
            hint = "apt install iproute2" if argv[0] == "ip" else "the cluster says there is one"
            raise StepFailed(f"{argv[0]} is missing ({hint})") from error
        except (OSError, trio.TooSlowError) as error:
            raise StepFailed(f"{' '.join(argv)} failed: {error}") from error
        said = ended.output.decode(errors="replace").strip()
        if ended.status != 0:
            raise StepFailed(f"{' '.join(argv)} ended with {ended.status}: {said}")
        return said


def _variables(address: MasterAddress) -> dict[str, str]:
    return {
        "MASTER_NETDEV": address.interface,
        "MASTER_IP": address.address,
        "MASTER_NETMASK": str(address.netmask),
        "CLUSTER_IP_VERSION": str(address.ip_version),
    }


def _is_loopback(address: MasterAddress) -> bool:
    """Whether it is one that every machine has already.

    Raises:
        StepFailed: it is no IP address.
    """
    try:
        return ipaddress.ip_address(address.address).is_loopback
    except ValueError as error:
        raise StepFailed(f"the cluster's address can not be brought up or down: {error}") from None
