"""Fill a cluster with instances that exist on paper: written into its configuration offline.

They are spread over nodes that exist on paper too, marked offline so that nobody asks them
anything. Every instance has an address and a disk; every fourth disk is mirrored by DRBD.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from tests.cluster.development import DevCluster

from gantry.cli.devcluster.layout import DevNode

FIRST: Final = "instance0.gantry.test"
LINK: Final = "bench0"

INSTANCES_PER_NODE: Final = 20
"""Their forms, with those of secondary instances, fill about half of a datagram."""

MIRRORED_EVERY: Final = 4

DISK_MIB: Final = 1024

_ADD: Final = ("gnt-instance", "add", "-t", "diskless", "-o", "busybox+default", "-n")

Object = dict[str, Any]


def add_first(cluster: DevCluster) -> None:
    """Add the one instance that is real, and the model of all others."""
    options = ("--no-start", "--no-name-check", "--no-ip-check", "--no-install")
    cluster.run(*_ADD, cluster.master.name, *options, FIRST)


def instance_name(number: int) -> str:
    """Return the name of an instance; those from 1 on are on paper."""
    return f"instance{number}.gantry.test"


def node_name(number: int) -> str:
    """Return the name of a node on paper."""
    return f"paper{number}.gantry.test"


def instance_ip(number: int) -> str:
    """Return the address of an instance on paper."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def nodes_of(instances: int) -> int:
    """Return how many nodes on paper so many instances are spread over."""
    return max(2, -(-instances // INSTANCES_PER_NODE))


def populate(cluster: DevCluster, instances: int) -> None:
    """Stop the keeper of the configuration, write that many instances into it, start it again.

    The other master candidates forget theirs meanwhile, and get the new one as a snapshot.
    """
    if FIRST not in cluster.run("gnt-instance", "list", "--no-headers", "-o", "name").split():
        add_first(cluster)
    cluster.stop("gantry-wconfd")
    for other in cluster.layout.nodes[1:]:
        _forget_replica(cluster, other)
    path = cluster.master.root / "var/lib/ganeti/config.data"
    config: Object = json.loads(path.read_text())
    model = next(each for each in config["instances"].values() if each["name"] == FIRST)
    config["cluster"]["tags"] = []  # they are a part of every change of the cluster,
    model["tags"] = []  # and of its instance, and of what ConfD answers
    master = config["nodes"][config["cluster"]["master_node"]]
    nodes = [master, *(_node(master, number) for number in range(nodes_of(instances)))]
    names = {each.name for each in cluster.layout.nodes}
    real = [each for each in config["nodes"].values() if each["name"] in names]
    config["nodes"] = {each["uuid"]: each for each in (*real, *nodes)}
    config["instances"], config["disks"] = {model["uuid"]: model}, {}
    for number in range(1, instances):
        disk = _disk(number, nodes)
        made = _instance(model, number, disk)
        config["disks"][disk["uuid"]], config["instances"][made["uuid"]] = disk, made
    path.write_text(json.dumps(config))
    (path.parent / "config.log").unlink()
    cluster.start("gantry-wconfd")


def _forget_replica(cluster: DevCluster, node: DevNode) -> None:
    cluster.stop("gantry-noded", node=node.short_name)
    for name in ("config.data", "config.log", "config.committed"):
        (node.root / "var/lib/ganeti" / name).unlink(missing_ok=True)
    cluster.start("gantry-noded", node=node.short_name)


def _node(model: Mapping[str, Any], number: int) -> Object:
    address = f"127.77.{number >> 8}.{number & 255}"
    return {
        **model,
        "uuid": str(uuid.uuid4()),
        "name": node_name(number),
        "primary_ip": address,
        "secondary_ip": address,
        "master_candidate": False,
        "offline": True,
    }


def _instance(model: Mapping[str, Any], number: int, disk: Mapping[str, Any]) -> Object:
    nic = {
        "mac": f"02:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}:00",
        "ip": instance_ip(number),
        "nicparams": {"mode": "bridged", "link": LINK, "vlan": ""},
        "uuid": str(uuid.uuid4()),
    }
    return {
        **model,
        "uuid": str(uuid.uuid4()),
        "name": instance_name(number),
        "primary_node": disk["nodes"][0],
        "disks": [disk["uuid"]],
        "nics": [nic],
    }


def _disk(number: int, nodes: list[Any]) -> Object:
    places = len(nodes) - 1
    primary, secondary = (
        nodes[1 + (number // INSTANCES_PER_NODE + step) % places]["uuid"] for step in (0, 1)
    )
    mirrored = number % MIRRORED_EVERY == 0
    volume = ["xenvg", f"{uuid.uuid4()}.disk0"]
    mirror = [primary, secondary, 11000 + number, number, number, uuid.uuid4().hex]
    return {
        "logical_id": mirror if mirrored else volume,
        "dev_type": "drbd" if mirrored else "plain",
        "children": [],
        "nodes": [primary, secondary] if mirrored else [primary],
        "iv_name": "disk/0",
        "size": DISK_MIB,
        "mode": "rw",
        "params": {},
        "uuid": str(uuid.uuid4()),
        "serial_no": 1,
        "ctime": 0.0,
        "mtime": 0.0,
    }
