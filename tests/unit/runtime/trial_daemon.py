"""A daemon that only says that it is ready; it refuses to start where there is a certain file."""

from __future__ import annotations

import trio

from gantry.runtime.daemon import EXIT_NOT_CLUSTER, Daemon, StartRefused, run
from gantry.runtime.environment import Environment


async def main(env: Environment) -> None:
    if await env.files.exists(env.paths.root / "refuse"):
        raise StartRefused("this is no node of a cluster", EXIT_NOT_CLUSTER)
    env.readiness.notify("READY=1")
    await trio.sleep_forever()


if __name__ == "__main__":
    run(Daemon("gantry-trial", "trial-daemon", main))
