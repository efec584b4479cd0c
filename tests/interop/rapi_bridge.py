"""Calls of Ganeti's RAPI client, which lives in the system's Python and not in ours.

Imported it is the near end; run by the system's Python it is the far one. They exchange a JSON
document a line: method, positional and named arguments; and back the result or the error.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


class RapiRefused(Exception):
    """RapiD answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class RapiBridge:
    """The near end; a context manager that ends the far one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @classmethod
    def to(cls, python: str, host: str) -> RapiBridge:
        """Start the far end with a Python that has the client."""
        return cls(
            subprocess.Popen(
                [python, __file__, host], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )

    def __enter__(self) -> RapiBridge:
        return self

    def __exit__(self, *exception: object) -> None:
        with self.process as process:
            assert process.stdin is not None
            process.stdin.close()

    def call(self, method: str, *args: object, **named: object) -> Any:  # noqa: ANN401 - JSON, taken apart by tests
        """Call a method of the client.

        Raises:
            RapiRefused: RapiD answered with an error.
        """
        to, back = self.process.stdin, self.process.stdout
        assert to is not None
        assert back is not None
        to.write(json.dumps([method, args, named]) + "\n")
        to.flush()
        answer = json.loads(back.readline())
        if "error" in answer:
            raise RapiRefused(*answer["error"])
        return answer["result"]

    def job(self, method: str, *args: object, **named: object) -> Any:  # noqa: ANN401 - JSON, taken apart by tests
        """Call a method that submits a job, poll until it has succeeded, return its result."""
        job = self.call(method, *args, **named)
        finished = self.call("WaitForJobCompletion", job, period=0.05, retries=600)
        status = self.call("GetJobStatus", job)
        assert finished, status
        return status["opresult"][0]


def _serve(host: str) -> None:
    import pycurl  # type: ignore[import-untyped,unused-ignore] # the system's Python has it
    from ganeti.rapi import client  # type: ignore[import-not-found,unused-ignore] # it too

    def configure(curl: Any, _logger: object) -> None:  # noqa: ANN401 - pycurl has no types, nor has its logger
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)  # the development cluster's own certificate
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)

    rapi = client.GanetiRapiClient(
        host, username="tester", password="secret", curl_config_fn=configure
    )
    for line in sys.stdin:
        method, args, named = json.loads(line)
        try:
            answer = {"result": getattr(rapi, method)(*args, **named)}
        except client.GanetiApiError as error:
            answer = {"error": [error.code, str(error)]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
