"""Run by the system's Python: a client of Ganeti's, for :mod:`tests.interop.bridge`.

Usage: ``far_end.py rapi HOST`` or ``far_end.py luxi``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

Call = Callable[..., Any]


def rapi(host: str) -> tuple[Any, type[Exception], Call]:
    """Return a client of the remote API, its errors' class, and what tells of an error."""
    import pycurl  # type: ignore[import-untyped,unused-ignore] # the system's Python has it
    from ganeti.rapi import client  # type: ignore[import-not-found,unused-ignore] # it too

    def configure(curl: Any, _logger: object) -> None:  # noqa: ANN401 - pycurl has no types, nor has its logger
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)  # the development cluster's own certificate
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)

    made = client.GanetiRapiClient(
        host, username="tester", password="secret", curl_config_fn=configure
    )
    return made, client.GanetiApiError, lambda error: [error.code, str(error)]


def luxi() -> tuple[Any, type[Exception], Call]:
    """Return a client of LUXI, which finds the socket by the environment."""
    from ganeti import (  # type: ignore[import-not-found,unused-ignore] # the system's Python has it
        luxi,
        opcodes,
    )

    class Client(luxi.Client):  # type: ignore[misc] # has no types
        """Takes opcodes by their classes' names and parameters."""

        def submit(self, name: str, **parameters: object) -> object:
            return self.SubmitJob([getattr(opcodes, name)(**parameters)])

        def submit_many(self, count: int, name: str, **parameters: object) -> object:
            made = getattr(opcodes, name)(**parameters)
            return self.SubmitManyJobs([[made] for _ in range(count)])

    return Client(), Exception, lambda error: [type(error).__name__, str(error)]


def main(client: str, *arguments: str) -> None:
    """Serve calls until there are no more."""
    clients: dict[str, Callable[..., tuple[Any, type[Exception], Call]]]
    clients = {"rapi": rapi, "luxi": luxi}
    made, errors, told = clients[client](*arguments)
    for line in sys.stdin:
        method, args, named = json.loads(line)
        try:
            answer = {"result": getattr(made, method)(*args, **named)}
        except errors as error:
            answer = {"error": told(error)}
        sys.stdout.write(json.dumps(answer, default=lambda value: value.ToDict()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
