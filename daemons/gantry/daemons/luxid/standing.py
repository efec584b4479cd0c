"""What every client has to know about the master, whatever it has asked."""

from __future__ import annotations

from gantry.daemons.luxid.mirror import Mirror
from gantry.daemons.luxid.store import QueueStore


def warnings(store: QueueStore, mirror: Mirror) -> tuple[str, ...]:
    """Return a sentence if the master goes on alone, in either stream; else nothing."""
    log = store.log
    queue = None if log is None else log.alone_since
    since = [
        f"record {index} of the {stream}"
        for stream, index in (("configuration", mirror.alone_since), ("job queue", queue))
        if index is not None
    ]
    if not since:
        return ()
    return (
        f"the master goes on alone since {' and '.join(since)}: {_missed(mirror)} lacks what "
        "was done since then, which would be lost with this machine; bring it back, or mark it "
        "offline",
    )


def _missed(mirror: Mirror) -> str:
    """Name the voter that does not answer."""
    view = mirror.view
    if view is None:
        return "the other master candidate"
    master = view.configuration.cluster.master_node
    names = [
        node.name
        for node in view.configuration.nodes.values()
        if node.master_candidate and not node.offline and node.uuid != master
    ]
    return " and ".join(sorted(names)) or "the other master candidate"
