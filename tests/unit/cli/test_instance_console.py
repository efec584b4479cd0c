"""The serial console: a guest on a socket pair, a terminal or a pipe on the other side."""

from __future__ import annotations

import os
import pty
import socket
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.unit.cli.fake_luxid import Command, FakeLuxid, Sample

from gantry.cli.errors import PeerMisuse
from gantry.cli.gnt_instance.console import Message, NodeCommand, attach, parse_console
from gantry.cli.gnt_instance.program import PROGRAM as INSTANCE
from gantry.cli.invocation import Invocation
from gantry.cli.options import Options

Joined = tuple[socket.socket, int, int]


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, float], Joined]]:
    """Attach, in a thread, a console to ``stdin`` and a pipe: ``(guest, screen, ...)``."""
    closing: list[Callable[[], None]] = []

    def join(keyboard: int, linger_seconds: float) -> Joined:
        guest, console = socket.socketpair()
        screen, written = os.pipe()
        call = Invocation("gnt-instance", "console", Options({}), ["web1"])
        monkeypatch.setattr("sys.stdin", _Stream(keyboard))
        monkeypatch.setattr("sys.stdout", _Stream(written))

        def run() -> None:
            with console:
                attach(call, console, linger_seconds=linger_seconds)
            os.close(written)

        thread = threading.Thread(target=run)
        thread.start()
        guest.settimeout(10)
        closing.extend((guest.close, thread.join, lambda: os.close(screen)))
        return guest, screen, keyboard

    yield join
    for close in closing:
        close()


class _Stream:
    """A standard stream of which only the descriptor matters."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, _text: str) -> None: ...

    def flush(self) -> None: ...


def drained(screen: int) -> bytes:
    """Read until the console has ended."""
    return b"".join(iter(lambda: os.read(screen, 4096), b""))


def test_what_is_piped_in_reaches_the_guest_and_its_answer_comes_out(
    joined: Callable[[int, float], Joined],
) -> None:
    keyboard, typing = os.pipe()
    guest, screen, _ = joined(keyboard, 0.05)
    os.write(typing, b"uptime\n")
    os.close(typing)
    assert guest.recv(100) == b"uptime\n"
    guest.sendall(b"up 2 days\n")
    assert drained(screen) == b"up 2 days\n"
    os.close(keyboard)


def test_ctrl_bracket_leaves(joined: Callable[[int, float], Joined]) -> None:
    keyboard, typing = os.pipe()
    guest, screen, _ = joined(keyboard, 60)
    os.write(typing, b"ls\x1dnot sent")
    assert guest.recv(100) == b"ls"
    assert guest.recv(100) == b""
    assert drained(screen) == b""
    os.close(typing)
    os.close(keyboard)


def test_a_guest_that_ends_ends_the_console(joined: Callable[[int, float], Joined]) -> None:
    keyboard, typing = os.pipe()
    guest, screen, _ = joined(keyboard, 60)
    guest.sendall(b"reboot: Power down\r\n")
    guest.close()
    assert drained(screen) == b"reboot: Power down\r\n"
    os.close(typing)
    os.close(keyboard)


def test_a_file_may_be_typed(joined: Callable[[int, float], Joined], tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"one\ntwo\n")
    keyboard = os.open(tmp_path / "script", os.O_RDONLY)
    guest, screen, _ = joined(keyboard, 0.05)
    received = b""
    while received != b"one\ntwo\n":
        received += guest.recv(100)
    assert drained(screen) == b""
    os.close(keyboard)


def test_every_key_reaches_the_guest_and_the_terminal_is_put_right_again(
    joined: Callable[[int, float], Joined],
) -> None:
    hand, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    guest, screen, _ = joined(terminal, 60)
    guest.sendall(b"login: ")
    assert os.read(screen, 100) == b"login: "
    os.write(hand, b"\x03\x1a\r")
    received = b""
    while len(received) < 3:
        received += guest.recv(100)
    assert received == b"\x03\x1a\r"
    os.write(hand, b"\x1d")
    assert guest.recv(100) == b""
    assert drained(screen) == b""
    assert termios.tcgetattr(terminal) == before
    os.close(hand)
    os.close(terminal)


SOCKET_COMMAND = ["socat", "STDIO,raw,echo=0,escape=0x1d", "UNIX-CONNECT:/run/gantry/web1.serial"]


def test_consoles_are_parsed() -> None:
    assert parse_console({"kind": "msg", "message": "none"}) == Message("none")
    remote: dict[str, object] = {
        "kind": "ssh",
        "host": "node1",
        "user": "root",
        "command": SOCKET_COMMAND,
    }
    console = parse_console(remote)
    assert isinstance(console, NodeCommand)
    assert console.socket_path == "/run/gantry/web1.serial"
    assert console.words[:4] == ["ssh", "-t", "root@node1", "--"]
    viewer = parse_console({"kind": "vnc", "host": "node1", "port": 11000, "display": 0})
    assert isinstance(viewer, Message)
    assert "vnc://node1:11000/" in viewer.text
    with pytest.raises(PeerMisuse):
        parse_console({"kind": "smoke"})


def console_answer(luxid: FakeLuxid, cell: list[object], *, running: bool = True) -> None:
    luxid.answers["Query"] = lambda _: {"fields": [], "data": [[cell, [0, running]]]}


def test_a_message_is_printed_as_in_ganeti(
    command: Command, sampled_queries: FakeLuxid, printed: dict[str, Sample]
) -> None:
    expected = printed["gnt-instance console --show-cmd inst2.gnt.test"]
    ended = command(INSTANCE, "console", "--show-cmd", "inst2.gnt.test")
    assert (ended.out, ended.code) == (expected["stdout"], 0)


def test_the_command_is_shown(command: Command, luxid: FakeLuxid) -> None:
    console: Sample = {"kind": "ssh", "host": "node1", "user": "root", "command": SOCKET_COMMAND}
    console_answer(luxid, [0, console])
    ended = command(INSTANCE, "console", "--show-cmd", "web1")
    assert ended.out.startswith("ssh -t root@node1 -- 'socat STDIO")


def test_an_instance_that_is_not_running_has_no_console(command: Command, luxid: FakeLuxid) -> None:
    console_answer(luxid, [3, None], running=False)
    ended = command(INSTANCE, "console", "web1")
    assert ended.code == 1
    assert "gnt-instance startup web1" in ended.err


def test_the_socket_of_this_machine_is_joined_directly(
    command: Command, luxid: FakeLuxid, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{luxid.path}.serial"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def guest() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"login: ")

        thread = threading.Thread(target=guest)
        thread.start()
        words = [*SOCKET_COMMAND[:-1], f"UNIX-CONNECT:{path}"]
        console: Sample = {"kind": "ssh", "host": "node1", "user": "root", "command": words}
        console_answer(luxid, cast("list[object]", [0, console]))
        ended = command(INSTANCE, "console", "web1")
        thread.join()
    assert ended == (0, "login: ", "")
