"""Calls of Ganeti's own clients, which live in the system's Python and not in ours.

This is the near end, :mod:`tests.interop.far_end` the far one. They exchange a JSON document a
line: method, positional and named arguments; and back the result or the error.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FAR_END: Final = Path(__file__).with_name("far_end.py")


class Refused(Exception):
    """The daemon answered with an error: of this code, or this class of the client's."""

    def __init__(self, kind: int | str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Bridge:
    """The near end; a context manager that ends the far one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @classmethod
    def to(cls, python: str, client: str, *arguments: str, env: Mapping[str, str]) -> Bridge:
        """Start the far end with a Python that has the client."""
        pipe, command = subprocess.PIPE, [python, str(FAR_END), client, *arguments]
        return cls(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env))

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *exception: object) -> None:
        with self.process as process:
            assert process.stdin is not None
            process.stdin.close()

    def call(self, method: str, *args: object, **named: object) -> Any:  # noqa: ANN401 - JSON, taken apart by tests
        """Call a method of the client.

        Raises:
            Refused: the daemon answered with an error.
        """
        to, back = self.process.stdin, self.process.stdout
        assert to is not None
        assert back is not None
        to.write(json.dumps([method, args, named]) + "\n")
        to.flush()
        answer = json.loads(back.readline())
        if "error" in answer:
            raise Refused(*answer["error"])
        return answer["result"]

    def job(self, method: str, *args: object, **named: object) -> Any:  # noqa: ANN401 - JSON, taken apart by tests
        """Call a RAPI method that submits a job, poll until it has succeeded, return its result."""
        job = self.call(method, *args, **named)
        finished = self.call("WaitForJobCompletion", job, period=0.05, retries=600)
        status = self.call("GetJobStatus", job)
        assert finished, status
        return status["opresult"][0]
