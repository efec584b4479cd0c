"""``gnt-instance console``: the serial console, on this terminal.

LuxiD says how the console is reached: by a command to be run on a node. Where that command would
only join a unix socket of this machine, the socket is joined to standard input and output
directly; Ctrl-] leaves. Standard input may also be a pipe: after its end the guest's output is
followed until nothing has come for a moment.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.errors import CommandError, PeerMisuse
from gantry.cli.invocation import Invocation
from gantry.cli.options import Option, flag
from gantry.cli.query_filter import simple_condition
from gantry.cli.standard_options import PRIORITY

SHOW_COMMAND = flag("--show-cmd", "show_command", "print how the console is reached, and end")
OPTIONS: tuple[Option[object], ...] = (SHOW_COMMAND, PRIORITY)

ESCAPE = b"\x1d"
"""Ctrl-], as in telnet."""

LINGER_SECONDS = 2.0
"""After the end of piped input: how long the guest may be silent before we leave."""

SOCKET_WORD = "UNIX-CONNECT:"
"""How socat, with which a node would join a socket, spells it."""

COPY_BYTES = 1 << 16


class Message(NamedTuple):
    """There is no console, but something to be read."""

    text: str


class NodeCommand(NamedTuple):
    """A console that a program on a node opens."""

    user: str
    host: str
    port: int | None
    command: tuple[str, ...]

    @property
    def socket_path(self) -> str:
        """The unix socket that the program joins; empty if it does something else."""
        last = self.command[-1] if self.command else ""
        path = last.removeprefix(SOCKET_WORD)
        return path if path != last else ""

    @property
    def words(self) -> list[str]:
        """The command with which this machine runs that program."""
        import shlex

        at_port = ["-p", str(self.port)] if self.port is not None else []
        return ["ssh", "-t", *at_port, f"{self.user}@{self.host}", "--", shlex.join(self.command)]


Console = Message | NodeCommand


def run_console(call: Invocation) -> int:
    """Open an instance's console."""
    name = call.arguments[0]
    answer = call.client.query(
        "instance", ["console", "oper_state"], simple_condition("name", [name])
    )
    if not answer.rows:
        raise CommandError(f"Failure: instance {name} is not known")
    (status, content), (_, running) = answer.rows[0]
    if status != 0 or not isinstance(content, dict):
        if running:
            raise CommandError(f"Failure: the console of instance {name} can not be found out now")
        raise CommandError(
            f"Failure: instance {name} is not running; start it: gnt-instance startup {name}"
        )
    call.close()
    return _open(call, parse_console(content), show=call.options[SHOW_COMMAND])


def parse_console(content: dict[str, object]) -> Console:
    """Parse the console object of a query.

    Raises:
        PeerMisuse: it has a shape that is not known.
    """
    match content:
        case {"kind": "msg", "message": str() as text}:
            return Message(text)
        case {"kind": "vnc" | "spice" as kind, "host": host, "port": port}:
            return Message(
                f"The console is graphical; point a {kind} viewer at {kind}://{host}:{port}/"
            )
        case {"kind": "ssh", "host": str() as host, "command": [*words]}:
            port = content.get("port")
            return NodeCommand(
                str(content.get("user") or "root"),
                host,
                port if isinstance(port, int) else None,
                tuple(map(str, words)),
            )
        case other:
            raise PeerMisuse(f"a console {other!r}")


def _open(call: Invocation, console: Console, *, show: bool) -> int:
    if isinstance(console, Message):
        call.say(console.text)
        return exit_codes.SUCCESS
    if show:
        import shlex

        call.say(shlex.join(console.words))
        return exit_codes.SUCCESS
    if (local := _connected(console.socket_path)) is not None:
        with local:
            attach(call, local)
        return exit_codes.SUCCESS
    import subprocess

    try:
        return subprocess.run(console.words, check=False).returncode
    except FileNotFoundError:
        raise CommandError("The console needs ssh; install the package openssh-client") from None


def _connected(path: str) -> socket.socket | None:
    """Return a connection to a socket of this machine; ``None`` if nobody listens there.

    The instance may run on another node, whose sockets are not seen here or, after it was
    migrated away from here, a dead one may be left.
    """
    if not path:
        return None
    console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        console.connect(path)
    except OSError:
        console.close()
        return None
    return console


def attach(
    call: Invocation, console: socket.socket, *, linger_seconds: float = LINGER_SECONDS
) -> None:
    """Join standard input and output to a console until one side ends."""
    keyboard = sys.stdin.fileno()
    interactive = sys.stdin.isatty()
    if interactive:
        call.complain(f"Connected to {call.arguments[0]}; Ctrl-] leaves.")
    with _raw_terminal(keyboard) if interactive else _unchanged():
        _copy(console, keyboard, sys.stdout.fileno(), linger_seconds)


def _copy(console: socket.socket, keyboard: int, screen: int, linger_seconds: float) -> None:
    import selectors

    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        patience: float | None = None
        try:
            selector.register(keyboard, selectors.EVENT_READ)
        except PermissionError:
            # epoll takes no regular files; they are always ready, and read at once.
            _send_file(console, keyboard)
            patience = linger_seconds
        while ready := selector.select(patience):
            for key, _ in ready:
                if key.fileobj is console:
                    if not _show(console, screen):
                        return
                elif (typed := os.read(keyboard, COPY_BYTES)) and ESCAPE in typed:
                    console.sendall(typed.partition(ESCAPE)[0])
                    return
                elif typed:
                    console.sendall(typed)
                else:
                    selector.unregister(keyboard)
                    patience = linger_seconds


def _send_file(console: socket.socket, keyboard: int) -> None:
    while typed := os.read(keyboard, COPY_BYTES):
        console.sendall(typed)


def _show(console: socket.socket, screen: int) -> bool:
    """Copy what the guest wrote; return whether it is still there."""
    output = console.recv(COPY_BYTES)
    view = memoryview(output)
    while view:
        view = view[os.write(screen, view) :]
    return bool(output)


@contextmanager
def _unchanged() -> Iterator[None]:
    yield


@contextmanager
def _raw_terminal(terminal: int) -> Iterator[None]:
    """Hand every key to the guest; the terminal is put right again at the end."""
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


COMMANDS = (Command("console", run_console, (Arguments("instance", 1, 1),), OPTIONS),)
