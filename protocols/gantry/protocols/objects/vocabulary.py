"""The closed sets of words that configuration objects are written with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Hypervisor = Literal["kvm", "fake", "chroot", "lxc", "xen-pvm", "xen-hvm"]

DiskTemplate = Literal[
    "diskless", "file", "sharedfile", "gluster", "plain", "drbd", "rbd", "blockdev", "ext"
]
"""How an instance's disks are kept; ``diskless`` instances have none."""

DiskType = Literal["file", "sharedfile", "gluster", "plain", "drbd", "rbd", "blockdev", "ext"]
"""The templates of which a disk can be."""

AdminState = Literal["up", "down", "offline"]
"""What is wanted of an instance: to run, to be stopped, or to be stopped and not counted."""

AdminStateSource = Literal["admin", "user"]
"""Who wanted it: an administrator, or the guest's user by shutting down from inside."""

AllocationPolicy = Literal["preferred", "last_resort", "unallocable"]

DiskMode = Literal["ro", "rw"]

NicMode = Literal["bridged", "openvswitch", "routed", "pool"]
"""``pool`` is only ever asked for; what is stored is the mode of the network it led to."""

SshKeyType = Literal["rsa", "dsa", "ecdsa"]

FilterVerb = Literal["ACCEPT", "CONTINUE", "PAUSE", "REJECT"]

Scalar = bool | int | float | str | None
"""A parameter's value in a stored parameter dictionary."""

Parameters = Mapping[str, Scalar]
"""A stored parameter dictionary: partial (only what differs) or full, as the field says.

The typed, filled forms are in :mod:`gantry.protocols.parameters`.
"""
