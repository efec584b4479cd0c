"""Fill a cluster with instances that exist on paper: written into its configuration offline."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from tests.cluster.development import DevCluster

FIRST: Final = "instance0.gantry.test"

_ADD: Final = ("gnt-instance", "add", "-t", "diskless", "-o", "busybox+default", "-n")


def _add_first(cluster: DevCluster) -> None:
    """Add the one instance that is real, and the model of all others."""
    options = ("--no-start", "--no-name-check", "--no-ip-check", "--no-install")
    cluster.run(*_ADD, cluster.master.name, *options, FIRST)


def populate(cluster: DevCluster, instances: int) -> None:
    """Stop the keeper of the configuration, write that many instances into it, start it again."""
    if FIRST not in cluster.run("gnt-instance", "list", "--no-headers", "-o", "name").split():
        _add_first(cluster)
    cluster.stop("gantry-wconfd")
    path = cluster.master.root / "var/lib/ganeti/config.data"
    config: dict[str, Any] = json.loads(path.read_text())
    model = next(each for each in config["instances"].values() if each["name"] == FIRST)
    config["instances"] = {model["uuid"]: model}
    config["cluster"]["tags"] = []  # they are a part of every change of the cluster
    for number in range(1, instances):
        made = _instance(model, number)
        config["instances"][made["uuid"]] = made
    path.write_text(json.dumps(config))
    (path.parent / "config.log").unlink()
    cluster.start("gantry-wconfd")


def _instance(model: dict[str, Any], number: int) -> dict[str, Any]:
    nics = [
        {**nic, "uuid": str(uuid.uuid4()), "mac": _mac(number, place), "name": None}
        for place, nic in enumerate(model["nics"])
    ]
    name = f"instance{number}.gantry.test"
    return {**model, "uuid": str(uuid.uuid4()), "name": name, "nics": nics}


def _mac(number: int, place: int) -> str:
    return f"02:{place:02x}:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}:00"
