"""The fork server as a real process: what children are, and who hears of their end."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from attrs import define, field

from gantry.daemons.forkserver.child import Output
from gantry.daemons.forkserver.preload import CannotPreload, load_entry_point
from gantry.protocols.codec import dump, load
from gantry.protocols.identity import Attempt, JobId
from gantry.protocols.jobproc import (
    DATAGRAM_BYTES_MAX,
    FORK_SERVER_SOCKET,
    ForkServerMessage,
    NotSpawned,
    Reaped,
    Spawned,
    SpawnRequest,
)
from gantry.runtime.paths import Paths

ROOT = Path(__file__).parents[4]
SCRIPTED_JOB = "tests.unit.daemons.forkserver.scripted_job:run"
PATIENCE_SECONDS = 20.0


@define
class Client:
    """LuxiD's end of the conversation."""

    socket: socket.socket
    pidfds: list[int] = field(factory=list)

    def send(self, request: object) -> None:
        self.socket.send(orjson.dumps(dump(request)))

    def receive(self) -> object:
        room = socket.CMSG_SPACE(4)
        data, ancillary, _, _ = self.socket.recvmsg(DATAGRAM_BYTES_MAX, room)
        for _, _, body in ancillary:
            fds = array.array("i")
            fds.frombytes(body)
            self.pidfds += fds
        return load(ForkServerMessage, orjson.loads(data))  # type: ignore[arg-type]  # a union is no type[T]

    def spawn(self, request: SpawnRequest) -> Spawned:
        self.send(request)
        answer = self.receive()
        assert isinstance(answer, Spawned), answer
        return answer

    def close(self) -> None:
        self.socket.close()
        for fd in self.pidfds:
            os.close(fd)


@define
class Server:
    """A running fork server below a root of its own."""

    paths: Paths
    process: subprocess.Popen[bytes]
    manager: socket.socket
    """What systemd would listen on."""
    clients: list[Client] = field(factory=list)

    def connect(self) -> Client:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(str(self.paths.socket(FORK_SERVER_SOCKET)))
        self.clients.append(Client(connection))
        return self.clients[-1]

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(PATIENCE_SECONDS) == 0
        assert self.manager.recv(100) == b"STOPPING=1"
        self.manager.close()

    def request(self, job: int, attempt: int = 1) -> SpawnRequest:
        path = str(self.paths.socket(f"job-{job}"))
        return SpawnRequest(JobId(job), Attempt(attempt), path)


def connect(path: str) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(PATIENCE_SECONDS)
    try:
        stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream


def command(request: SpawnRequest, text: str) -> bytes:
    """Tell a scripted job to do something and return all it answers."""
    with connect(request.socket) as stream:
        stream.sendall(text.encode())
        stream.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: stream.recv(65536), b""))


def start(root: Path, job_main: str = SCRIPTED_JOB, **more: str) -> Server:
    """Start a server and wait until it says READY=1."""
    variables = {**os.environ, "GANTRY_ROOT": str(root), "XDG_RUNTIME_DIR": str(root), **more}
    notified = root / "notify"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(notified))
    manager.settimeout(PATIENCE_SECONDS)
    process = subprocess.Popen(
        [sys.executable, "-m", "gantry.daemons.forkserver.main", "--job-main", job_main],
        cwd=ROOT,
        env={**variables, "NOTIFY_SOCKET": str(notified)},
    )
    try:
        assert manager.recv(100) == b"READY=1"
    except BaseException:
        process.kill()
        process.wait()
        manager.close()
        raise
    return Server(Paths.of(variables), process, manager)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = start(tmp_path)
    try:
        yield running
    finally:
        for client in running.clients:
            for fd in client.pidfds:
                try:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            client.close()
        running.stop()


def test_a_child_has_nothing_of_the_server(server: Server) -> None:
    client, request = server.connect(), server.request(7)
    spawned = client.spawn(request)
    known = orjson.loads(command(request, "describe"))
    assert known["job"] == 7
    assert known["pid"] == spawned.pid == known["session"]
    assert known["descriptors"] == [0, 1, 2, 3]
    assert known["cmdline"] == "gantry-job 7"
    assert known["comm"] == "gantry-job 7"
    assert f"GANTRY_ROOT={server.paths.root}" in known["environment"]
    assert known["sigterm"]
    assert int(known["blocked"], 16) == 0
    assert known["umask"] == "0027"


def test_the_jobs_socket_names_the_job_as_its_peer(server: Server) -> None:
    request = server.request(7)
    spawned = server.connect().spawn(request)
    command(request, "describe")  # it has reached its own code, so it has called listen()
    with connect(request.socket) as stream:
        peer = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    assert struct.unpack("3i", peer)[0] == spawned.pid


@pytest.mark.parametrize(("text", "status"), [("exit 3", 70), ("raise it", 70)])
def test_every_luxid_hears_how_a_child_ended_badly(server: Server, text: str, status: int) -> None:
    client, other, request = server.connect(), server.connect(), server.request(1)
    spawned = client.spawn(request)
    other.spawn(request)  # the same request again: the same child, and known to be connected
    command(request, text)
    expected = Reaped(JobId(1), Attempt(1), spawned.pid, status)
    assert client.receive() == expected
    assert other.receive() == expected
    assert not Path(request.socket).exists()


def test_of_a_child_that_left_in_peace_nothing_is_said(server: Server) -> None:
    client, first, second = server.connect(), server.request(1), server.request(1, attempt=2)
    client.spawn(first)
    command(first, "return")
    select.select([client.pidfds[0]], [], [], PATIENCE_SECONDS)
    client.send(second)  # before it is answered the first one is reaped
    assert isinstance(client.receive(), Spawned)


def test_a_killed_child_is_reaped_and_its_socket_refuses(server: Server) -> None:
    client, request = server.connect(), server.request(1)
    spawned = client.spawn(request)
    signal.pidfd_send_signal(client.pidfds[0], signal.SIGKILL)
    assert client.receive() == Reaped(JobId(1), Attempt(1), spawned.pid, -signal.SIGKILL)
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        connect(request.socket)


def test_the_same_request_again_is_the_same_child(server: Server) -> None:
    client, request = server.connect(), server.request(1)
    assert client.spawn(request) == client.spawn(request)


def test_a_second_attempt_waits_for_the_end_of_the_first(server: Server) -> None:
    client, first, second = server.connect(), server.request(1), server.request(1, attempt=2)
    client.spawn(first)
    client.send(second)
    refusal = client.receive()
    assert isinstance(refusal, NotSpawned)
    assert "attempt 1" in refusal.reason
    command(first, "exit 3")
    assert isinstance(client.receive(), Reaped)
    client.spawn(second)
    assert orjson.loads(command(second, "describe"))["attempt"] == 2


def test_a_second_attempt_needs_no_waiting_once_the_first_is_dead(server: Server) -> None:
    """LuxiD may see the end of a process before the server has reaped it."""
    client, first, second = server.connect(), server.request(1), server.request(1, attempt=2)
    client.spawn(first)
    signal.pidfd_send_signal(client.pidfds[0], signal.SIGKILL)
    select.select([client.pidfds[0]], [], [], PATIENCE_SECONDS)
    client.send(second)
    answers = [client.receive(), client.receive()]
    assert [type(answer) for answer in answers] == [Reaped, Spawned]


def test_nobody_takes_the_socket_of_a_job_that_outlived_its_server(tmp_path: Path) -> None:
    first = start(tmp_path)
    client, request = first.connect(), first.request(1)
    client.spawn(request)
    first.stop()
    client.close()
    (tmp_path / "notify").unlink()
    second = start(tmp_path)
    client = second.connect()
    client.send(second.request(1, attempt=2))
    refusal = client.receive()
    assert isinstance(refusal, NotSpawned)
    assert "answers there already" in refusal.reason
    command(request, "return")
    second.stop()
    client.close()


def test_a_socket_that_can_not_be_bound_is_an_answer(server: Server) -> None:
    client = server.connect()
    client.send(SpawnRequest(JobId(1), Attempt(1), "/nonexistent/job-1"))
    refusal = client.receive()
    assert isinstance(refusal, NotSpawned)
    assert "No such file" in refusal.reason


def test_jobs_outlive_a_luxid_and_the_next_one_hears_of_them(server: Server) -> None:
    first, request = server.connect(), server.request(1)
    spawned = first.spawn(request)
    first.socket.close()
    second = server.connect()
    assert second.spawn(request) == spawned
    command(request, "exit 3")
    assert second.receive() == Reaped(JobId(1), Attempt(1), spawned.pid, 70)


def test_nonsense_costs_the_connection_and_nothing_else(server: Server) -> None:
    bad, good = server.connect(), server.connect()
    bad.socket.send(b"\xff")
    assert bad.socket.recv(100) == b""
    good.spawn(server.request(1))


def waiting_child(server: Server) -> int:
    """Return the process id of the child that waits for a job, as soon as there is one."""
    pid = server.process.pid
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"gantry-spare"):
                return int(child)


def test_the_child_that_waits_takes_the_next_job(server: Server) -> None:
    client = server.connect()
    first = waiting_child(server)
    assert client.spawn(server.request(1)).pid == first
    assert orjson.loads(command(server.request(1), "describe"))["job"] == 1
    second = waiting_child(server)
    assert second != first
    assert client.spawn(server.request(2)).pid == second
    assert orjson.loads(command(server.request(2), "describe"))["job"] == 2


def test_a_waiting_child_that_was_killed_costs_nobody_a_job(server: Server) -> None:
    client = server.connect()
    waiting = waiting_child(server)
    watched = os.pidfd_open(waiting)
    os.kill(waiting, signal.SIGKILL)
    select.select([watched], [], [], PATIENCE_SECONDS)
    os.close(watched)
    assert client.spawn(server.request(1)).pid != waiting
    assert orjson.loads(command(server.request(1), "describe"))["job"] == 1
    assert not Path(f"/proc/{waiting}").exists()


def test_a_waiting_child_ends_with_its_server(tmp_path: Path) -> None:
    server = start(tmp_path)
    watched = os.pidfd_open(waiting_child(server))
    server.process.kill()
    server.process.wait()
    server.manager.close()
    assert select.select([watched], [], [], PATIENCE_SECONDS)[0] == [watched]
    os.close(watched)


def test_a_child_that_waited_prints_into_the_file_of_today(server: Server) -> None:
    client, request = server.connect(), server.request(1)
    waiting_child(server)
    log = server.paths.logs / "job-processes.log"
    log.rename(log.with_name("rotated"))
    client.spawn(request)
    assert command(request, "say hello") == b"said"
    assert log.read_text() == "hello\nhello\n"


def test_what_jobs_print_goes_to_their_shared_file(server: Server) -> None:
    client, request = server.connect(), server.request(1)
    client.spawn(request)
    assert command(request, "say hello") == b"said"
    command(request, "raise no such luck")
    assert isinstance(client.receive(), Reaped)
    written = (server.paths.logs / "job-processes.log").read_text()
    assert written.startswith("hello\nhello\n")
    assert "RuntimeError: no such luck" in written


def test_jobs_outlive_the_server(tmp_path: Path) -> None:
    server = start(tmp_path)
    client, request = server.connect(), server.request(1)
    client.spawn(request)
    command(request, "describe")
    server.stop()
    assert not server.paths.socket(FORK_SERVER_SOCKET).exists()
    assert orjson.loads(command(request, "describe"))["job"] == 1
    command(request, "return")
    client.close()


def test_the_watchdog_hears_of_it_while_nothing_happens(tmp_path: Path) -> None:
    server = start(tmp_path, WATCHDOG_USEC="20000")
    heard = [server.manager.recv(100) for _ in range(3)]
    assert heard == [b"WATCHDOG=1"] * 3
    server.process.terminate()
    assert server.process.wait(PATIENCE_SECONDS) == 0
    server.manager.close()


def test_a_second_server_refuses_to_start(server: Server) -> None:
    again = subprocess.run(
        [sys.executable, "-m", "gantry.daemons.forkserver.main", "--job-main", SCRIPTED_JOB],
        cwd=ROOT,
        env={
            **os.environ,
            "GANTRY_ROOT": str(server.paths.root),
            "XDG_RUNTIME_DIR": str(server.paths.root),
        },
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert again.returncode == 1
    assert b"another fork server runs already" in again.stderr
    server.connect().spawn(server.request(1))


@pytest.mark.parametrize("reference", ["no.such:run", "os:no_such", "os", ""])
def test_an_unknown_entry_point_is_refused(reference: str) -> None:
    with pytest.raises(CannotPreload):
        load_entry_point(reference)


def test_the_output_file_is_moved_aside_when_it_is_long(tmp_path: Path) -> None:
    output = Output(tmp_path / "out.log", bytes_max=10)
    output.path.write_bytes(b"x" * 11)
    assert os.write(output.current(), b"new") == 3
    assert output.path.read_bytes() == b"new"
    assert output.path.with_name("out.log.1").read_bytes() == b"x" * 11
    assert os.write(output.current(), b"er and longer") == 13
    assert os.write(output.current(), b"newest") == 6
    assert output.path.read_bytes() == b"newest"
    output.close()


def test_an_output_file_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    output = Output(tmp_path / "out.log", bytes_max=10)
    output.current()
    output.path.rename(tmp_path / "rotated")
    assert os.write(output.current(), b"new") == 3
    assert output.path.read_bytes() == b"new"
    output.close()
