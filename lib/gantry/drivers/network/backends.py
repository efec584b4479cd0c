"""Decide how a NIC is connected: pure.

A bridged NIC gets a tap on its bridge where there is one and we may make taps; every other NIC gets
QEMU's user-mode network, which needs no rights and lets the guest reach out, but not be reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set as AbstractSet

from attrs import frozen

from gantry.protocols.runtime_types import NicSpec


@frozen
class Tap:
    """A tap device on a bridge of the node."""

    device: str
    bridge: str


@frozen
class UserMode:
    """QEMU's network stack in user space."""


NicBackend = Tap | UserMode


def tap_name(node: str, instance_uuid: str, index: int) -> str:
    """Return a device name of at most 15 bytes (IFNAMSIZ), the same one each time.

    The node is in it because a migration's two ends may share one network namespace.
    """
    digest = hashlib.sha256(f"{node} {instance_uuid}".encode()).hexdigest()[:8]
    return f"gnt{digest}.{index}"


def choose_backend(
    nic: NicSpec, device: str, *, bridges: AbstractSet[str], may_make_taps: bool
) -> NicBackend:
    """Choose how a NIC is connected on this node."""
    if nic.mode == "bridged" and nic.link in bridges and may_make_taps:
        return Tap(device, nic.link)
    return UserMode()
