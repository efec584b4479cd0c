"""Ten thousand connections at once: above the limit they are sent away, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme
from attrs import define

from gantry.protocols.luxi import SOCKET_NAME
from gantry.runtime.descriptors import connections_max
from gantry.runtime.http.server import REFUSALS_MAX
from gantry.runtime.network import BACKLOG
from gantry.runtime.paths import Paths
from gantry.security.pem_files import RAPI_PEM

pytestmark = pytest.mark.cluster

ADDRESS: Final = "127.0.0.1"
DESCRIPTORS: Final = 600
SOURCES: Final = 5
EACH: Final = 2000
FLOOD: Final = SOURCES * EACH
IN_LINE_MAX: Final = BACKLOG + REFUSALS_MAX
"""Connections that the daemon has not come to, or is just sending away."""

PATIENCE_SECONDS: Final = 120.0
MEMORY_MIB_MAX: Final = 256
"""Of the daemon with all the connections that it lets in."""

# Opens connections, holds them until its standard input ends, and says what became of each.
SOURCE: Final = """
import json, resource, socket, sys
address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held, refused = [], 0
print("ready", flush=True)
sys.stdin.readline()
for _ in range(count):
    try:
        held.append(socket.create_connection((address, port), timeout=30))
    except OSError:
        refused += 1
print("there", flush=True)
sys.stdin.read()
found = {"closed": 0, "503": 0, "open": 0, "refused": refused}
for each in held:
    each.setblocking(False)
    try:
        said = each.recv(4096)
        found["503" if said.startswith(b"HTTP/1.1 503 ") else "closed"] += 1
    except BlockingIOError:
        found["open"] += 1
    except OSError:
        found["closed"] += 1
print(json.dumps(found), flush=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, DESCRIPTORS))


def variables(root: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "XDG_RUNTIME_DIR")}
    return {"GANTRY_ROOT": str(root), **kept}


@contextmanager
def daemon(program: str, root: Path) -> Iterator[tuple[int, int]]:
    """Run a daemon on a machine that is no node; yield its process id and its port."""
    port = free_port()
    (root / "etc").mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).parent / program), "-b", ADDRESS, "-p", str(port)]
    running = subprocess.Popen(command, env=variables(root), preexec_fn=few_descriptors)
    try:
        connected(port).close()
        yield running.pid, port
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_SECONDS) == 0


def connected(port: int) -> socket.socket:
    """Connect as soon as somebody listens."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return socket.create_connection((ADDRESS, port), PATIENCE_SECONDS)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline


@define
class Flood:
    """Ten thousand connections, from several processes."""

    sources: list[subprocess.Popen[str]]

    @classmethod
    @contextmanager
    def prepared(cls, port: int) -> Iterator[Flood]:
        """Start the processes; they wait for :meth:`begin`."""
        command = [sys.executable, "-c", SOURCE, ADDRESS, str(port), str(EACH)]
        with contextlib.ExitStack() as entered:
            pipe = subprocess.PIPE
            sources = [
                entered.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
                for _ in range(SOURCES)
            ]
            try:
                for each in sources:
                    _hear(each, "ready")
                yield cls(sources)
            finally:
                for each in sources:
                    each.kill()

    def begin(self) -> None:
        """Begin; a fifth of the connections is there at the end."""
        for each in self.sources:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        _hear(self.sources[0], "there")

    def go_on(self) -> None:
        """Wait until all connections are there."""
        for each in self.sources[1:]:
            _hear(each, "there")

    def outcome(self) -> Counter[str]:
        """End it, and count what became of the connections."""
        found: Counter[str] = Counter()
        for each in self.sources:
            found.update(json.loads(each.communicate(timeout=PATIENCE_SECONDS)[0]))
        return found


def _hear(source: subprocess.Popen[str], word: str) -> None:
    assert source.stdout is not None
    assert source.stdout.readline() == f"{word}\n"


def ask(connection: socket.socket, target: str) -> None:
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: n\r\n\r\n".encode())


def answer_on(connection: socket.socket) -> bytes:
    """Return the beginning of an answer."""
    said = b""
    while b"\r\n\r\n" not in said:
        more = connection.recv(65536)
        assert more, said
        said += more
    return said


def memory_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


def times_told(root: Path, log: str) -> int:
    text = (root / "var/log/ganeti" / f"{log}.log").read_text()
    return text.count("too many connections")


def test_mond_answers_503_and_goes_on_serving(tmp_path: Path) -> None:
    root = tmp_path / "node1.gantry.test"
    with daemon("gantry-mond", root) as (pid, port), Flood.prepared(port) as flood:
        with connected(port) as before:
            ask(before, "/")
            assert answer_on(before).startswith(b"HTTP/1.1 200 ")
            flood.begin()
            ask(before, "/")
            assert answer_on(before).startswith(b"HTTP/1.1 200 ")
            flood.go_on()
        outcome = flood.outcome()
        memory = memory_mib(pid)
        told = times_told(root, "monitoring-daemon")
    assert outcome.total() == FLOOD
    assert outcome["open"] <= connections_max(DESCRIPTORS) + IN_LINE_MAX
    assert outcome["503"] > 0
    assert memory < MEMORY_MIB_MAX
    assert 1 <= told <= 4, "once a minute"


def test_rapid_closes_before_the_handshake_and_goes_on_serving(tmp_path: Path) -> None:
    root = tmp_path / "node1.gantry.test"
    trusting = certified(root)
    with (
        slow_luxid(root) as luxid,
        daemon("gantry-rapid", root) as (pid, port),
        Flood.prepared(port) as flood,
    ):
        with trusting.wrap_socket(connected(port), server_hostname="localhost") as before:
            ask(before, "/2/tags")
            asking, _ = luxid.accept()
            with asking:
                flood.begin()
                flood.go_on()
                asking.sendall(b'{"success":true,"result":["here"]}\x03')
                assert answer_on(before).startswith(b"HTTP/1.1 200 ")
        outcome = flood.outcome()
        memory = memory_mib(pid)
        told = times_told(root, "rapi-daemon")
    assert outcome.total() == FLOOD
    assert outcome["503"] == 0, "an answer without TLS"
    assert outcome["open"] <= connections_max(DESCRIPTORS) + IN_LINE_MAX
    assert outcome["closed"] > 0
    assert memory < MEMORY_MIB_MAX
    assert 1 <= told <= 4, "once a minute"


@contextmanager
def slow_luxid(root: Path) -> Iterator[socket.socket]:
    """Listen where RapiD looks for LuxiD."""
    path = Paths.of(variables(root)).socket(SOCKET_NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(PATIENCE_SECONDS)
        yield listening
    path.unlink()


def certified(root: Path) -> ssl.SSLContext:
    """Give a machine a certificate for the remote API; return the context of who trusts it."""
    authority = trustme.CA()
    data = root / "var/lib/ganeti"
    data.mkdir(parents=True)
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(data / RAPI_PEM))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return trusting
