"""``gnt-instance console``: the serial console, on this terminal.

LuxiD says how the console is reached. A local one is a unix socket, to which standard input and
output are joined; Ctrl-] leaves. Standard input may also be a pipe: after its end the guest's
output is followed until nothing has come for a moment.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gantry.cli import exit_codes
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

COPY_BYTES = 1 << 16


class Message(NamedTuple):
    """There is no console, but something to be read."""

    text: str


class LocalSocket(NamedTuple):
    """A serial console behind a unix socket of this machine."""

    path: str


class RemoteCommand(NamedTuple):
    """A console that a program opens, on another machine if ``host`` is not empty."""

    user: str
    host: str
    port: int | None
    command: tuple[str, ...]


Console = Message | LocalSocket | RemoteCommand


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
        case {"kind": "socket", "path": str() as path}:
            return LocalSocket(path)
        case {"kind": "ssh", "host": str() as host, "command": [*words]}:
            port = content.get("port")
            return RemoteCommand(
                str(content.get("user") or "root"),
                host,
                port if isinstance(port, int) else None,
                tuple(map(str, words)),
            )
        case other:
            raise PeerMisuse(f"a console {other!r}")


def command_words(console: LocalSocket | RemoteCommand) -> list[str]:
    """Return a command that opens the console, without any program of ours."""
    match console:
        case LocalSocket(path):
            return ["socat", "-,raw,echo=0,escape=0x1d", f"UNIX-CONNECT:{path}"]
        case RemoteCommand(user, host, port, command):
            import shlex

            at_port = ["-p", str(port)] if port is not None else []
            return ["ssh", "-t", *at_port, f"{user}@{host}", "--", shlex.join(command)]


def _open(call: Invocation, console: Console, *, show: bool) -> int:
    if isinstance(console, Message):
        call.say(console.text)
        return exit_codes.SUCCESS
    if show:
        import shlex

        call.say(shlex.join(command_words(console)))
        return exit_codes.SUCCESS
    if isinstance(console, LocalSocket):
        return attach(call, console.path)
    import subprocess

    try:
        return subprocess.run(command_words(console), check=False).returncode
    except FileNotFoundError:
        raise CommandError("The console needs ssh; install the package openssh-client") from None


def attach(call: Invocation, path: str, *, linger_seconds: float = LINGER_SECONDS) -> int:
    """Join standard input and output to a console's socket until one side ends.

    Raises:
        CommandError: nobody listens on the socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        try:
            console.connect(path)
        except OSError as error:
            raise CommandError(
                f"The console {path} can not be opened: {error.strerror}; is the instance running "
                "on this machine?"
            ) from None
        keyboard = sys.stdin.fileno()
        interactive = sys.stdin.isatty()
        if interactive:
            call.complain(f"Connected to {call.arguments[0]}; Ctrl-] leaves.")
        with _raw_terminal(keyboard) if interactive else _unchanged():
            _copy(console, keyboard, sys.stdout.fileno(), linger_seconds)
    return exit_codes.SUCCESS


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
