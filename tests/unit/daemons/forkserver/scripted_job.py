"""A job process that does what the test says: one command per connection."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import orjson

from gantry.protocols.jobproc import SpawnRequest


def run(listener_fd: int, spawn: SpawnRequest) -> None:
    """Answer commands until told to leave."""
    listening = socket.socket(fileno=listener_fd)
    while True:
        stream, _ = listening.accept()
        with stream:
            command, _, argument = stream.recv(100).decode().partition(" ")
            match command:
                case "describe":
                    stream.sendall(orjson.dumps(describe(spawn, stream)))
                case "say":
                    os.write(1, argument.encode() + b"\n")
                    os.write(2, argument.encode() + b"\n")
                    stream.sendall(b"said")
                case "raise":
                    raise RuntimeError(argument)
                case "exit":
                    sys.exit(int(argument))
                case "return":
                    return
                case _:  # somebody only wanted to know whether we answer
                    continue


def describe(spawn: SpawnRequest, stream: socket.socket) -> dict[str, object]:
    """Say what a process can know of itself."""
    own = Path("/proc/self")
    descriptors = {int(path.name) for path in (own / "fd").iterdir() if path.exists()}
    status = dict(
        line.split(":\t", 1) for line in (own / "status").read_text().splitlines() if ":\t" in line
    )
    return {
        "job": spawn.job,
        "attempt": spawn.attempt,
        "pid": os.getpid(),
        "session": os.getsid(0),
        "descriptors": sorted(descriptors - {stream.fileno()}),
        "cmdline": (own / "cmdline").read_bytes().rstrip(b"\0").decode(),
        "environment": (own / "environ").read_bytes().decode().split("\0"),
        "comm": (own / "comm").read_text().strip(),
        "blocked": status["SigBlk"],
        "sigterm": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "umask": status["Umask"],
    }
