"""A Ganeti cluster to take over: the recorded one, with nodes that this machine can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SAMPLE = Path("tests/facts/samples/config.data")
ADDRESSES = {"10.77.0.11": 1, "10.77.0.12": 2, "10.77.0.13": 3}


def source_value(subnet: str, version: int = 3_000_000) -> dict[str, Any]:
    """Return the JSON value of its ``config.data``.

    Args:
        subnet: the first three numbers of the nodes' addresses.
        version: of the schema; 3010000 is Ganeti 3.1's.
    """
    text = SAMPLE.read_text().replace("cluster.gnt.test", "cluster.gantry.test")
    for address, number in ADDRESSES.items():
        text = text.replace(f"node{number}.gnt.test", f"node{number}.gantry.test")
        text = text.replace(f'"{address}"', f'"{subnet}.{number}"')
    value: dict[str, Any] = json.loads(text)
    value["cluster"]["master_ip"] = f"{subnet}.254"
    value["version"] = version
    if version > 3_000_000:  # what the next version has and has not
        for parameters in value["cluster"]["hvparams"].values():
            parameters.pop("xen_cmd", None)
        value["cluster"]["hvparams"].get("kvm", {})["disk_aio"] = "io_uring"
        value["cluster"]["diskparams"].get("rbd", {})["user-id"] = ""
        nics = [nic for each in value["instances"].values() for nic in each.get("nics", [])]
        nics[-1]["nicparams"]["mode"] = "ext"
    return value


def leave_ganeti(data: Path, subnet: str, version: int = 3_000_000) -> dict[str, Any]:
    """Write the files that Ganeti leaves on a master, and return the configuration's value."""
    value = source_value(subnet, version)
    (data / "rapi").mkdir(parents=True, exist_ok=True)
    (data / "queue/archive/0").mkdir(parents=True, exist_ok=True)
    (data / "config.data").write_text(json.dumps(value))
    (data / "hmac.key").write_bytes(b"0123456789abcdef0123456789abcdef01234567\n")
    (data / "rapi/users").write_text("jack {HA1}00000000000000000000000000000000 write\n")
    (data / "server.pem").write_text("Ganeti's own\n")
    (data / "client.pem").write_text("Ganeti's own, too\n")
    (data / "locks.data").write_text("[[],[]]")
    (data / "ssconf_cluster_name").write_text("old.gantry.test\n")
    for job in sorted(SAMPLE.parent.glob("queue/job-*"))[:1]:
        (data / "queue" / job.name).write_bytes(job.read_bytes())
    (data / "queue/serial").write_text("421\n")
    (data / "queue/version").write_text("1\n")
    (data / "queue/archive/0/job-7").write_text("{}")
    return value
