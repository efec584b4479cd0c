"""Ganeti's schema of ``config.data`` as its readers enforce it: no key too many, none too few."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FACTS: dict[str, Any] = json.loads(Path("tests/facts/config.json").read_text())
KINDS = {
    "nodes": "node",
    "nodegroups": "nodegroup",
    "instances": "instance",
    "networks": "network",
    "disks": "disk",
    "filters": "filter",
}


def misfits(value: Mapping[str, Any]) -> list[str]:
    """Say what Ganeti's readers would refuse."""
    return list(_misfits(value))


def _misfits(value: Mapping[str, Any]) -> Iterator[str]:
    yield from _keys("the configuration", "top", value)
    yield from _keys("cluster", "cluster", value["cluster"])
    for key, kind in KINDS.items():
        for uuid, each in value[key].items():
            yield from _keys(f"{kind} {uuid}", kind, each)
            if each["uuid"] != uuid:
                yield f"{kind} {uuid} says that it is {each['uuid']}"
            for nic in each.get("nics", []) if kind == "instance" else []:
                yield from _keys(f"nic of {uuid}", "nic", nic)
            for child in each.get("children", []) if kind == "disk" else []:
                yield from _keys(f"child of {uuid}", "disk", child)


def _keys(name: str, kind: str, value: Mapping[str, Any]) -> Iterator[str]:
    known = {each["name"]: each["presence"] for each in FACTS[kind]}
    yield from (f"{name} has the unknown {key}" for key in value if key not in known)
    needed = [key for key, presence in known.items() if presence.startswith("required")]
    yield from (f"{name} lacks {key}" for key in needed if key not in value)
    for key in known.keys() & value.keys():
        if value[key] is None:
            yield f"{name} has {key} without a value"
