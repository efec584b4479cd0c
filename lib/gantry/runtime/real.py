"""The real world as an :class:`gantry.runtime.environment.Environment`."""

from __future__ import annotations

import os
import secrets
import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen
from typing_extensions import override

from gantry.runtime.environment import Clock, Environment, Options, Randomness, Readiness
from gantry.runtime.files import RealFiles, in_thread
from gantry.runtime.network import RealNetwork
from gantry.runtime.owners import owners_on
from gantry.runtime.paths import Paths
from gantry.runtime.processes import RealProcesses
from gantry.runtime.tls import RealTls


class RealClock(Clock):
    """The machine's clock."""

    @override
    def now(self) -> float:
        return time.time()


class RealRandomness(Randomness):
    """The kernel's randomness."""

    @override
    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    @override
    def uuid(self) -> str:
        return str(uuid.uuid4())


@frozen
class NotifySocket(Readiness):
    """The service manager's socket (sd_notify(3)); silent if there is none."""

    address: str | None

    @override
    def notify(self, state: str) -> None:
        if not self.address:
            return
        target = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
            sending.sendto(state.encode(), target)


def node_name(paths: Paths, variables: Mapping[str, str]) -> str:
    """Return this node's name: the last component of a root of its own, else the host name."""
    if paths.root != Path("/"):
        return paths.root.name
    return variables.get("GANTRY_NODE") or socket.getfqdn()


def real_environment(
    variables: Mapping[str, str] | None = None, options: Options | None = None
) -> Environment:
    """Return the environment of a daemon in production."""
    env = dict(os.environ if variables is None else variables)
    paths = Paths.of(env)
    node = node_name(paths, env)
    return Environment(
        node=node,
        paths=paths,
        variables=env,
        clock=RealClock(),
        random=RealRandomness(),
        files=RealFiles(owners=owners_on(paths)),
        network=RealNetwork(paths.below("/etc/hosts"), node),
        tls=RealTls(),
        processes=RealProcesses(),
        offload=in_thread,
        readiness=NotifySocket(env.get("NOTIFY_SOCKET")),
        options=options or Options(),
    )
