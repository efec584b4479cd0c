"""What must hold once everything is well again, seen from outside."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.chaos.clients import Client
from tests.chaos.people import Crowd
from tests.cluster.development import DevCluster
from tests.crash import jobs as op
from tests.crash.jobs import Jobs, paths_of
from tests.crash.wholeness import Picture, picture_of, problems_of

SETTLE_SECONDS_MAX = 90.0
"""Nodes that came back are found again, jobs that were interrupted end, left-overs are removed."""

LOOK_SECONDS = 0.5
LOGS = ("config.log", "queue.journal")


def settled(problems: Callable[[], list[str]]) -> None:
    """Wait until there is no problem any more.

    Raises:
        AssertionError: some stay.
    """
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while found := problems():
        assert time.monotonic() < deadline, "\n".join(found)
        time.sleep(LOOK_SECONDS)  # files and answers of other processes have no event here


def check_jobs(crowd: Crowd, client: Client) -> None:
    """Every acknowledged job exists, has ended, and ended as was said then."""
    for ended in crowd.ended:
        again = client.wait(ended.id)
        assert again.status == ended.status, f"{ended} has become {again}"


def check_people(crowd: Crowd) -> None:
    """Everybody finds what they made and nothing else, in the state in which they left it."""
    picture = picture_of(crowd.cluster)
    assert {tag for person in crowd.people for tag in person.tags} <= picture.cluster_tags
    assert _problems(crowd, picture) == []


def _problems(crowd: Crowd, picture: Picture) -> list[str]:
    known = {
        op.full(name): state for person in crowd.people for name, state in person.instances.items()
    }
    found = {each.name: "running" if each.runs else "stopped" for each in picture.instances}
    sure = {name: state for name, state in known.items() if state != "doubtful"}
    return [
        *(f"{name} is gone" for name in sure.keys() - found.keys()),
        *(f"{name} was never made" for name in found.keys() - known.keys()),
        *(
            f"{name} is {found[name]}, not {state}"
            for name, state in sure.items()
            if name in found and found[name] != state
        ),
    ]


def check_whole(cluster: DevCluster) -> None:
    """Nodes have what the configuration says, and no more; nothing of a job stays."""
    with Jobs.of(cluster) as jobs:
        settled(lambda: problems_of(cluster, jobs))


def check_replicas(cluster: DevCluster) -> None:
    """All candidates' logs have the same end."""
    settled(lambda: [log for log in LOGS if len(_ends(cluster, log)) != 1])


def _ends(cluster: DevCluster, log: str) -> set[tuple[str, ...]]:
    ends: set[tuple[str, ...]] = set()
    for node in cluster.layout.nodes:
        lines = (paths_of(cluster, node.name).data / log).read_text().splitlines()
        ends.add(tuple(lines[-1].split(" ", 4)[:2]))
    return ends


def check_verified(cluster: DevCluster) -> None:
    """``gnt-cluster verify`` finds no error."""
    said = cluster.run("gnt-cluster", "verify", node=cluster.master.short_name)
    assert "ERROR" not in said, said
