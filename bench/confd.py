"""How many questions RConfD answers with one processor, for each kind of question."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bench import population
from bench.accounting import processor_seconds
from bench.figures import Figure
from tests.cluster.development import DevCluster

from gantry.protocols.rconfd import (
    DetailedQuery,
    Envelope,
    Query,
    Request,
    RequestType,
    Status,
    parse_envelope,
    parse_reply,
    render_envelope,
    render_request,
)
from gantry.security.hmac_key import sign

RATE_TARGET: Final = 35_000.0

QUESTIONS: Final = 5_000
ROUNDS: Final = 6
"""The best one counts: whatever else the machine does only takes away, and the first one also makes
the answers."""

IN_FLIGHT: Final = 128
"""Questions sent before their answers are read: no buffer runs full."""

DATAGRAM_BYTES_MAX: Final = 65535
PATIENCE_SECONDS: Final = 2.0
READY_SECONDS: Final = 60.0

KINDS: Final[dict[RequestType, Callable[[int, int], Query]]] = {
    RequestType.PING: lambda _, __: None,
    RequestType.NODE_ROLE: lambda n, all_: population.node_name(n % population.nodes_of(all_)),
    RequestType.NODE_IP_BY_INSTANCE_IP: lambda n, all_: DetailedQuery(
        population.LINK, population.instance_ip(n % all_)
    ),
    RequestType.CLUSTER_MASTER: lambda _, __: None,
    RequestType.NODE_IPS: lambda _, __: None,
    RequestType.CANDIDATE_IPS: lambda _, __: None,
    RequestType.INSTANCE_IPS: lambda _, __: population.LINK,
    RequestType.NODE_DRBD: lambda n, all_: population.node_name(n % population.nodes_of(all_)),
    RequestType.NODE_INSTANCES: lambda n, all_: population.node_name(n % population.nodes_of(all_)),
    RequestType.INSTANCE_DISKS: lambda n, all_: population.instance_name(n % all_),
    RequestType.CONFIG_VALUE: lambda _, __: "/cluster/enabled_hypervisors",
    RequestType.DATA_COLLECTORS: lambda _, __: None,
}
"""What is asked: about which of so many instances, and the nodes that they are on."""


def rates(cluster: DevCluster, instances: int) -> Iterator[Figure]:
    """Measure every kind of question, and datagrams that are nobody's."""
    asker = Asker(cluster)
    asker.wait_for(instances)
    for kind, query in KINDS.items():
        requests = [Request(kind, query(n, instances), "") for n in range(QUESTIONS)]
        rate, size = asker.best_rate(requests)
        yield _figure(f"{instances} instances: {kind.name}, answers of {size} bytes", rate)
    silence = asker.rate_of_silence()
    yield _figure(f"{instances} instances: datagrams with a wrong signature", silence)


def _figure(name: str, rate: float) -> Figure:
    return Figure(name, rate, "questions/s", above=RATE_TARGET)


class Asker:
    """Asks the master's RConfD."""

    def __init__(self, cluster: DevCluster) -> None:
        data = cluster.master.root / "var/lib/ganeti"
        self._key = (data / "hmac.key").read_bytes()
        self._pid = cluster.pid("gantry-rconfd")
        self._server = (cluster.master.address, _port_of(self._pid))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.bind((cluster.master.address, 0))
        self._socket.settimeout(PATIENCE_SECONDS)

    def signed(self, request: Request, key: bytes | None = None) -> bytes:
        """Return the datagram of a request; no two are the same."""
        fresh = Request(request.type, request.query, str(uuid.uuid4()), request.order)
        salt, msg = str(int(time.time())), render_request(fresh)
        return render_envelope(Envelope(msg, salt, sign(key or self._key, salt, msg)))

    def wait_for(self, instances: int) -> None:
        """Wait until RConfD knows so many instances."""
        last = Request(RequestType.INSTANCE_DISKS, population.instance_name(instances - 1), "")
        beyond = Request(RequestType.INSTANCE_DISKS, population.instance_name(instances), "")
        deadline = time.monotonic() + READY_SECONDS
        while self._status(last) != Status.OK or self._status(beyond) != Status.ERROR:
            if time.monotonic() > deadline:
                raise TimeoutError(f"RConfD does not know {instances} instances")
            time.sleep(0.1)

    def _status(self, request: Request) -> Status | None:
        """Ask something; ``None``: there was no answer in time."""
        self._socket.sendto(self.signed(request), self._server)
        try:
            answer = self._socket.recv(DATAGRAM_BYTES_MAX)
        except TimeoutError:
            return None
        return parse_reply(parse_envelope(answer).msg).status

    def best_rate(self, requests: Sequence[Request]) -> tuple[float, int]:
        """Return the rate, and the size of an answer in bytes."""
        rounds = [self._round([self.signed(each) for each in requests]) for _ in range(ROUNDS)]
        return max(rounds)

    def _round(self, datagrams: Sequence[bytes]) -> tuple[float, int]:
        before, size = processor_seconds(self._pid), 0
        for batch in _batches(datagrams):
            for datagram in batch:
                self._socket.sendto(datagram, self._server)
            for _ in batch:
                size = len(self._socket.recv(DATAGRAM_BYTES_MAX))
        return len(datagrams) / (processor_seconds(self._pid) - before), size

    def rate_of_silence(self) -> float:
        """Return the rate at which datagrams with a wrong signature are dropped."""
        ping = Request(RequestType.PING, None, "")
        forged = [self.signed(ping, b"another key") for _ in range(QUESTIONS)]
        before = processor_seconds(self._pid)
        for batch in _batches(forged):
            for datagram in (*batch, self.signed(ping)):
                self._socket.sendto(datagram, self._server)
            self._socket.recv(DATAGRAM_BYTES_MAX)  # the good one is answered: all were seen
        return len(forged) / (processor_seconds(self._pid) - before)


def _batches(datagrams: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for begin in range(0, len(datagrams), IN_FLIGHT):
        yield datagrams[begin : begin + IN_FLIGHT]


def _port_of(pid: int) -> int:
    """Return the UDP port on which a process listens."""
    inodes = {
        link.readlink().name[len("socket:[") : -1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.readlink().name.startswith("socket:[")
    }
    for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in inodes:
            return int(fields[1].partition(":")[2], 16)
    raise LookupError(f"process {pid} has no UDP socket")
