"""The table of all doors: both kinds of fuzzers, and the test that none is missing, read it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.hostile import datagrams, meaning, programs, sockets, stored, web
from tests.hostile.door import Door

DOORS: Final[Mapping[str, Door]] = MappingProxyType(
    {
        door.name: door
        for module in (sockets, web, datagrams, stored, programs, meaning)
        for door in module.DOORS
    }
)

_SAME: Final = "what it reads is parsed by functions that have doors of their own"
_KERNEL: Final = "the kernel's own files"
_PERSON: Final = "a development cluster's own files, of the person who runs the command"
_TERMINAL: Final = "passes bytes on between a terminal and a guest"
_CREDENTIALS: Final = "certificates and keys, which OpenSSL reads; see the door certificate"

NOT_DOORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cli.demo.main": _TERMINAL,
        "cli.devcluster.bringing_up": _PERSON,
        "cli.devcluster.entering": _PERSON,
        "cli.devcluster.found": _KERNEL,
        "cli.devcluster.layout": _PERSON,
        "cli.devcluster.supervised": "words of daemons that it started, which it compares",
        "cli.gnt_instance.console": _TERMINAL,
        "cli.option_values": "the command line of the person who runs the command",
        "daemons.forkserver.pages": _KERNEL,
        "daemons.job.rehearsal": "words of a process that it forked",
        "daemons.job.stage": "words of the process that forked it, and certificates that it made",
        "daemons.job.world": "a number; anything else is no pause",
        "daemons.luxid.archive": _SAME,
        "daemons.luxid.job_calls": "reads what it has rendered itself",
        "daemons.luxid.query_calls": "a number; anything else is no pause",
        "daemons.luxid.supervisor": "a number; anything else is no attempt",
        "daemons.noded.belonging": _CREDENTIALS,
        "daemons.noded.replica_files": _SAME,
        "drivers.hypervisor.kvm.processes": _KERNEL,
        "operations.query.objects": "reads what it has rendered itself",
        "protocols.codec": "the parser itself, which is behind nearly every door",
        "runtime.founding": "a public key, which is passed on as text",
        "runtime.job_archive": _SAME,
        "runtime.joining": _CREDENTIALS,
        "runtime.looking": _SAME,
        "runtime.network": "the hosts file, of which a line is an address or none",
        "runtime.node_links": _CREDENTIALS,
        "runtime.processes": _KERNEL,
        "runtime.replacing": "compares and copies files",
        "runtime.rpc_pool": "looks whether a connection is still there",
        "runtime.stopping": "a process id; anything else is no process",
        "runtime.takeover": _SAME,
    }
)
"""Modules that read bytes and have no door, and why."""
