"""A client of the remote API, somewhere on the cluster's network: it asks the cluster's address.

RAPI cannot tell a request that is sent again from a second one. So whoever submits a job is told
whether an earlier try, which was not answered, may have become a job, too.
"""

from __future__ import annotations

import base64
import ctypes
import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from attrs import frozen
from tests.chaos.clients import PATIENCE_SECONDS, PAUSE_SECONDS, Ended, JobLost, NobodyAnswers
from tests.cluster.development import DevCluster
from tests.simulation.statuses import check_change

from gantry.cli.devcluster.entering import holder_of
from gantry.cli.devcluster.namespaces import BRIDGE, SWITCH
from gantry.cli.jobs import FINAL
from gantry.cli.luxi import Opcode

PORT: Final = 5080
USER: Final = ("chaos", "secret")
OUTSIDE_HOST: Final = 253
"""The last part of the client's own address: it is no node."""

ANSWER_SECONDS: Final = 30.0
CLONE_NEWNET: Final = 0x40000000
"""setns(2)."""

COME_BACK: Final = 500
"""From here on an answer says nothing of the request, but that it can not be served now: the
queue is closed, or not to be written, or its master is gone."""


@frozen
class Request:
    """A request that submits a job."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Mapping[str, object] | None = None


VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "OP_INSTANCE_REMOVE": ("DELETE", ""),
    "OP_INSTANCE_STARTUP": ("PUT", "/startup"),
    "OP_INSTANCE_SHUTDOWN": ("PUT", "/shutdown"),
    "OP_INSTANCE_REBOOT": ("POST", "/reboot"),
    "OP_INSTANCE_MIGRATE": ("PUT", "/migrate"),
    "OP_INSTANCE_FAILOVER": ("PUT", "/failover"),
    "OP_INSTANCE_SET_PARAMS": ("PUT", "/modify"),
}
"""The requests about one instance; what more is to be said is in the body."""

IN_QUERY: Final = {"OP_INSTANCE_REBOOT": ("reboot_type", "type")}
"""What these tests say in the query instead."""


def request_for(opcode: Opcode) -> Request | None:
    """Return the request that submits an opcode; ``None``: these tests know of none."""
    given = {name: value for name, value in opcode.items() if name != "OP_ID"}
    match opcode:
        case {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "tags": [str() as tag]}:
            return Request("PUT", "/2/tags", {"tag": tag})
        case {"OP_ID": "OP_TAGS_DEL", "kind": "cluster", "tags": [str() as tag]}:
            return Request("DELETE", "/2/tags", {"tag": tag})
        case {"OP_ID": "OP_INSTANCE_CREATE"}:
            return Request("POST", "/2/instances", body={**given, "__version__": 1})
        case {"OP_ID": str() as op_id} if op_id in VERBS:
            method, verb = VERBS[op_id]
            path = f"/2/instances/{given.pop('instance_name')}{verb}"
            parameter, name = IN_QUERY.get(op_id, ("", ""))
            query = {name: str(given.pop(parameter))} if parameter else {}
            return Request(method, path, query, None if method == "DELETE" else given)
        case _:
            return None


def let_in(cluster: DevCluster) -> None:
    """Make the user, and give the client's end of the network an address of its own."""
    for node in cluster.layout.nodes:
        users = node.root / "var/lib/ganeti/rapi/users"
        users.parent.mkdir(parents=True, exist_ok=True)
        known = users.read_text() if users.exists() else ""
        users.write_text(f"{known}{' '.join(USER)} write\n")
    if cluster.layout.net == "netns":
        switch = ["nsenter", "-t", str(holder_of(cluster.layout, SWITCH)), "-n", "--"]
        own = f"{cluster.layout.subnet}.{OUTSIDE_HOST}/24"
        subprocess.run([*switch, "ip", "address", "add", own, "dev", BRIDGE], check=True)


def move_outside(cluster: DevCluster) -> None:
    """Put this thread, and no other, onto the cluster's network, where it is no node.

    Raises:
        OSError: it may not.
    """
    if cluster.layout.net == "loopback":
        return
    with Path(f"/proc/{holder_of(cluster.layout, SWITCH)}/ns/net").open() as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class Unanswered(Exception):
    """Nobody has said what became of a request."""


class Refused(AssertionError):
    """RapiD does not do what it was asked."""


@frozen
class Remote:
    """Asks whoever has the cluster's address. Each request has a connection of its own."""

    cluster: DevCluster

    def call(self, request: Request) -> object:
        """Send a request once.

        Raises:
            Unanswered: there was no answer.
            Refused: the answer is no.
        """
        move_outside(self.cluster)
        host = self.cluster.layout.cluster_address
        if self.cluster.layout.net == "loopback":
            host = self.cluster.master.address
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE  # the development cluster's own certificate
        connection = http.client.HTTPSConnection(
            host, PORT, timeout=ANSWER_SECONDS, context=trusting
        )
        body = None if request.body is None else json.dumps(request.body)
        secret = base64.b64encode(":".join(USER).encode()).decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        try:
            connection.request(
                request.method, f"{request.path}?{urlencode(request.query)}", body, headers
            )
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(repr(error)) from error
        finally:
            connection.close()
        if answer.status >= COME_BACK:
            raise Unanswered(text)
        if answer.status != http.client.OK:
            raise Refused(f"{request}: {answer.status} {text}")
        return json.loads(text)

    def ask(self, request: Request) -> tuple[object, bool]:
        """Ask until there is an answer; return it, and whether an earlier try had none.

        Raises:
            NobodyAnswers: there was none for :data:`PATIENCE_SECONDS`.
        """
        deadline, again = time.monotonic() + PATIENCE_SECONDS, False
        while True:
            try:
                return self.call(request), again
            except Unanswered as failure:
                again = True
                if time.monotonic() > deadline:
                    raise NobodyAnswers(f"RAPI: {failure}") from failure
            time.sleep(PAUSE_SECONDS)  # there is no event for a master that comes back

    def wait(self, job: int) -> Ended:
        """Look at a job until it is over.

        Raises:
            JobLost: nobody knows the job.
            NotAllowed: a status went where no status may go.
        """
        seen: list[object] | None = None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert time.monotonic() < deadline, f"job {job} is {seen} for ever"
            found, _ = self.ask(Request("GET", f"/2/jobs/{job}"))
            assert isinstance(found, dict)
            if found["status"] is None:
                raise JobLost(f"job {job}, over RAPI")
            status, ops = found["status"], found["opstatus"]
            check_change(job, seen, [status, ops])
            if status in FINAL:
                return Ended(job, status, tuple(ops), tuple(found["opresult"]))
            seen = [status, ops]
            time.sleep(PAUSE_SECONDS)  # RAPI's own wait needs the log, which is of no interest
