"""Ending the job processes of a node that is no longer the master.

They could not change anything any more, since every owner refuses their epoch; they would only
wait for daemons that do not come back.
"""

from __future__ import annotations

import signal
from typing import Final

from gantry.protocols.identity import JobId
from gantry.protocols.jobproc import socket_name
from gantry.runtime.environment import Environment
from gantry.runtime.logs import Log

PREFIX: Final = socket_name(JobId(0)).removesuffix("0")

LOG: Final = Log("noded.jobs")


async def end_job_processes(env: Environment) -> None:
    """Kill the processes that listen on jobs' sockets, and remove the sockets."""
    for name in await env.files.list(env.paths.sockets):
        if not name.startswith(PREFIX):
            continue
        path = env.paths.sockets / name
        pid = await env.processes.listener_of(path)
        if pid is not None:
            LOG.info("ending a job of the former master", socket=name, pid=pid)
            env.processes.kill(pid, signal.SIGKILL)
        await env.files.remove(path)
