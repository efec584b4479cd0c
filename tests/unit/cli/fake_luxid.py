"""A LuxiD that answers what a test tells it to, on a real unix socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, cast

ETX = b"\x03"

Answer = object | Callable[[list[object]], object]


class Refusal(Exception):
    """An answer that is an error; ``args[0]`` is its result."""


class HangUp(Exception):
    """No answer: the connection is closed."""


class FakeLuxid:
    """Answers calls by method: with a value, a function of the arguments, or a list of either
    that is used up one by one. Every request is kept."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}
        self.requests: list[dict[str, object]] = []
        self.extra: dict[str, object] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def calls(self, method: str) -> list[list[object]]:
        """Return the arguments of all calls of a method."""
        return [
            cast("list[object]", each["args"]) for each in self.requests if each["method"] == method
        ]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        buffered = b""
        with connection:
            while True:
                try:
                    data = connection.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                buffered += data
                while ETX in buffered:
                    frame, _, buffered = buffered.partition(ETX)
                    reply = self._reply(frame)
                    if reply is None:
                        return
                    try:
                        connection.sendall(reply)
                    except OSError:
                        return

    def _reply(self, frame: bytes) -> bytes | None:
        request = json.loads(frame)
        self.requests.append(request)
        answer = self.answers.get(request["method"], Refusal(f"no answer for {request['method']}"))
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else Refusal("no more answers")
        try:
            result = answer(request["args"]) if callable(answer) else answer
            if isinstance(result, Exception):
                raise result
        except HangUp:
            return None
        except Refusal as refusal:
            body = {"success": False, "result": refusal.args[0], **self.extra}
            return json.dumps(body).encode() + ETX
        if isinstance(result, bytes):
            return result
        return json.dumps({"success": True, "result": result, **self.extra}).encode() + ETX


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


Sample = dict[str, object]


def query_from(sample: Sample) -> Callable[[list[object]], object]:
    """Answer queries from a real answer with all fields; understands filters by name."""
    result = cast(
        "dict[str, list[dict[str, object]]]", cast("Sample", sample["response"])["result"]
    )
    definitions = {str(each["name"]): each for each in result["fields"]}
    order = list(definitions)
    rows = cast("list[list[list[object]]]", result["data"])

    def answer(arguments: list[object]) -> object:
        _, fields, condition = arguments
        names = cast("list[str]", fields)
        chosen = rows
        if condition is not None:
            leaves = cast("list[list[object]]", condition)[1:]
            wanted = [leaf[2] for leaf in leaves]
            key = order.index(str(leaves[0][1]))
            chosen = [row for row in rows if any(_named(row[key][1], name) for name in wanted)]
            if not chosen:
                text = f"Instance name {wanted[0]} not found"
                raise Refusal(["OpPrereqError", [text, "unknown_entity"]])
        unknown = {"kind": "unknown", "doc": ""}
        return {
            "fields": [definitions.get(n, {"name": n, "title": n, **unknown}) for n in names],
            "data": [
                [row[order.index(n)] if n in definitions else [1, None] for n in names]
                for row in chosen
            ],
        }

    return answer


def _named(name: object, wanted: object) -> bool:
    return name == wanted or str(name).startswith(f"{wanted}.")
