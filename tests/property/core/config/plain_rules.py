"""The rules of the configuration a second time: over the whole file at once, slow and plain.

It reads the JSON value of ``config.data`` and knows nothing of objects, indexes or claims, so that
it can not be wrong in the same way as what it is compared with.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

Value = dict[str, Any]
Breach = tuple[str, str]
"""The rule, and the name (or UUID) of the object; for what is not unique, the value."""

UNIQUE: Final = "values are unique"
ISPEC: Final = (
    "cpu-count",
    "disk-count",
    "disk-size",
    "memory-size",
    "nic-count",
    "spindle-use",
)
TEMPLATES: Final = frozenset(
    ("blockdev", "diskless", "drbd", "ext", "file", "gluster", "plain", "rbd", "sharedfile")
)


def breaches(config: Value) -> set[Breach]:
    """Return what breaks a rule."""
    return {
        *(_unique(config)),
        *(_references(config)),
        *(_versions(config)),
        *(_cluster(config)),
        *(_nodes(config)),
        *(_instances(config)),
        *(_disks(config)),
        *(_networks(config)),
        *(_filters(config)),
    }


def leftovers(config: Value) -> Value:
    found: Value = config.get("gantry", {}).get("leftovers", {})
    return found


def _coming(each: Value) -> bool:
    return each.get("forthcoming") is True


def _real(objects: Value) -> list[Value]:
    return [each for each in objects.values() if not _coming(each)]


def _unique(config: Value) -> Iterator[Breach]:
    values: list[tuple[str, str]] = [
        ("TCP port", str(p)) for p in config["cluster"]["tcpudp_port_pool"]
    ]
    values.append(("uuid", config["cluster"]["uuid"]))
    for kind in ("nodes", "nodegroups", "instances", "networks", "disks", "filters"):
        values += [("uuid", each["uuid"]) for each in config[kind].values()]
    for left in leftovers(config).values():
        key = left["key"]
        undo = "/undo" if key.get("undo") else ""
        values.append(("uuid", left["uuid"]))
        values.append(("undo", f"{key['job']}/{key['opcode']}/{key['step']}{undo}"))
    for node in config["nodes"].values():
        values.append(("node name", node["name"]))
        values += [("node address", ip) for ip in {node["primary_ip"], node["secondary_ip"]}]
    values += [("node group name", each["name"]) for each in config["nodegroups"].values()]
    values += [("network name", each["name"]) for each in config["networks"].values()]
    for instance in config["instances"].values():
        values += _of_instance(instance)
    for disk in _real(config["disks"]):
        values += _of_disk(disk)
    for (space, value), count in Counter(values).items():
        if count > 1:
            yield (UNIQUE, f"{space} {value}")


def _of_instance(instance: Value) -> Iterator[tuple[str, str]]:
    if "name" in instance:
        yield ("instance name", instance["name"])
    if "network_port" in instance:
        yield ("TCP port", str(instance["network_port"]))
    for disk in instance.get("disks", ()):
        yield ("disk", disk)
    for nic in instance.get("nics", ()):
        yield ("uuid", nic["uuid"])
        yield ("MAC address", nic["mac"].lower())
        if "ip" in nic:
            place = nic.get("network") or nic["nicparams"].get("link", "")
            yield ("IP address", f"{place}/{nic['ip']}")


def _of_disk(disk: Value) -> Iterator[tuple[str, str]]:
    place, kind = disk["logical_id"], disk["dev_type"]
    if kind == "plain":
        yield ("logical volume", f"{place[0]}/{place[1]}")
    elif kind == "drbd":
        yield ("TCP port", str(place[2]))
        yield ("DRBD minor", f"{place[0]}/{place[3]}")
        yield ("DRBD minor", f"{place[1]}/{place[4]}")
    elif kind in ("sharedfile", "gluster"):
        yield ("disk file", place[1])
    elif kind == "file":
        yield from (("disk file", f"{node}:{place[1]}") for node in disk["nodes"])
    elif kind == "blockdev":
        yield from (("block device", f"{node}:{place[1]}") for node in disk["nodes"])
    elif kind == "rbd":
        yield ("RBD image", f"{(disk.get('params') or {}).get('pool', '')}/{place[1]}")
    else:
        yield ("external volume", f"{place[0]}/{place[1]}")
    for child in disk["children"]:
        yield ("uuid", child["uuid"])
        yield from _of_disk(child)


def _references(config: Value) -> Iterator[Breach]:
    nodes, groups, networks = config["nodes"], config["nodegroups"], config["networks"]
    wanted: list[tuple[str, str, Value]] = [
        (config["cluster"]["cluster_name"], config["cluster"]["master_node"], nodes)
    ]
    wanted += [(each["name"], each["group"], groups) for each in nodes.values()]
    wanted += [
        (each["name"], net, networks) for each in groups.values() for net in each["networks"]
    ]
    wanted += [(each["uuid"], each["node"], nodes) for each in leftovers(config).values()]
    for disk in _real(config["disks"]):
        wanted += [(disk["uuid"], node, nodes) for node in _nodes_of(disk)]
    for instance in config["instances"].values():
        name = instance.get("name", instance["uuid"])
        if "primary_node" in instance:
            wanted.append((name, instance["primary_node"], nodes))
        wanted += [(name, disk, config["disks"]) for disk in instance.get("disks", ())]
        for nic in instance.get("nics", ()):
            if "network" in nic:
                wanted.append((name, nic["network"], networks))
    yield from (("references resolve", who) for who, what, where in wanted if what not in where)


def _nodes_of(disk: Value) -> set[str]:
    return {*disk["nodes"], *(node for child in disk["children"] for node in _nodes_of(child))}


def _versions(config: Value) -> Iterator[Breach]:
    named = [(config["cluster"]["cluster_name"], config["cluster"])]
    for kind in ("nodes", "nodegroups", "instances", "networks"):
        named += [(each.get("name", each["uuid"]), each) for each in config[kind].values()]
    others = [*config["disks"].values(), *leftovers(config).values()]
    for name, each in (*named, *((other["uuid"], other) for other in others)):
        if each["serial_no"] < 1:
            yield ("serial numbers begin at 1", name)
        tags = each.get("tags", [])
        if any(not re.fullmatch(r"[-A-Za-z0-9.+*/:@_]{1,128}", tag) for tag in tags):
            yield ("tags are well-formed", name)
        if len(set(tags)) > 4096:
            yield ("tags are few", name)


def _cluster(config: Value) -> Iterator[Breach]:
    cluster, nodes = config["cluster"], config["nodes"]
    name = cluster["cluster_name"]
    if not cluster["enabled_hypervisors"]:
        yield ("some hypervisor is enabled", name)
    if set(cluster["enabled_hypervisors"]) - set(cluster["hvparams"]):
        yield ("hypervisors have parameters", name)
    if not cluster["enabled_disk_templates"]:
        yield ("some disk template is enabled", name)
    if any(port > cluster["highest_used_port"] for port in cluster["tcpudp_port_pool"]):
        yield ("pooled ports were used before", name)
    candidates = {uuid for uuid, node in nodes.items() if node["master_candidate"]}
    if set(cluster["candidate_certs"]) - candidates:
        yield ("certificates are candidates'", name)
    policy = cluster["ipolicy"]
    full = {"disk-templates", "minmax", "spindle-ratio", "std", "vcpu-ratio"}
    if full - set(policy) or not _policy_fits(policy):
        yield ("instance policies are well-formed", name)
    for group in config["nodegroups"].values():
        if "std" in group["ipolicy"] or not _policy_fits(group["ipolicy"]):
            yield ("instance policies are well-formed", group["name"])


def _policy_fits(policy: Value) -> bool:
    number = (int, float)
    for key, value in policy.items():
        if key == "minmax":
            if not isinstance(value, list) or not value or not all(map(_range_fits, value)):
                return False
        elif key == "std":
            if not _spec_fits(value):
                return False
        elif key == "disk-templates":
            if not isinstance(value, list) or any(str(each) not in TEMPLATES for each in value):
                return False
        elif key in ("vcpu-ratio", "spindle-ratio"):
            if not isinstance(value, number) or isinstance(value, bool):
                return False
        else:
            return False
    return True


def _spec_fits(spec: Any) -> bool:  # noqa: ANN401 - whatever stands in the file
    return (
        isinstance(spec, dict)
        and set(spec) == set(ISPEC)
        and all(type(each) is int and each >= 0 for each in spec.values())
    )


def _range_fits(limits: Any) -> bool:  # noqa: ANN401 - whatever stands in the file
    if not isinstance(limits, dict) or set(limits) != {"min", "max"}:
        return False
    ends = [limits["min"], limits["max"]]
    return all(map(_spec_fits, ends)) and all(
        least[key] <= most[key] for least, most in pairwise(ends) for key in ISPEC
    )


def _nodes(config: Value) -> Iterator[Breach]:
    for node in config["nodes"].values():
        if sum((node["master_candidate"], node["drained"], node["offline"])) > 1:
            yield ("a node has one role", node["name"])
        if node["master_candidate"] and not node["master_capable"]:
            yield ("candidates are master capable", node["name"])
        if node["uuid"] == config["cluster"]["master_node"] and not node["master_candidate"]:
            yield ("the master is a candidate", node["name"])


def _instances(config: Value) -> Iterator[Breach]:
    for instance in _real(config["instances"]):
        yield from _places_of_disks(config, instance)
        for nic in instance["nics"]:
            yield from _interface(config, instance, nic)


def _places_of_disks(config: Value, instance: Value) -> Iterator[Breach]:
    for index, uuid in enumerate(instance["disks"]):
        disk = config["disks"].get(uuid)
        if disk is None or _coming(disk):
            continue
        if disk["iv_name"] != f"disk/{index}":
            yield ("disks are named by their place", instance["name"])
        local = disk["dev_type"] in ("plain", "file", "drbd", "blockdev")
        if local and disk["nodes"] and instance["primary_node"] not in disk["nodes"]:
            yield ("local disks are on the primary node", instance["name"])


def _interface(config: Value, instance: Value, nic: Value) -> Iterator[Breach]:
    name = instance["name"]
    if not re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){5}", nic["mac"].lower()):
        yield ("MAC addresses are well-formed", name)
    network = config["networks"].get(nic.get("network"))
    if network is None or "ip" not in nic:
        return
    place = _place(network, nic["ip"])
    if place is None:
        yield ("addresses are in their network", name)
    elif not _taken(network, place):
        yield ("used addresses are marked", name)


def _disks(config: Value) -> Iterator[Breach]:
    for disk in _real(config["disks"]):
        if disk["size"] < 0:
            yield ("disks have a size", disk["uuid"])
        if disk["dev_type"] == "drbd":
            ends = set(disk["logical_id"][:2])
            if len(ends) < 2 or (disk["nodes"] and set(disk["nodes"]) != ends):
                yield ("mirrored disks are on two nodes", disk["uuid"])
            if len(disk["children"]) not in (0, 2):
                yield ("mirrored disks have data and meta volumes", disk["uuid"])


def _networks(config: Value) -> Iterator[Breach]:
    for network in config["networks"].values():
        name = network["name"]
        if not name:
            yield ("networks have names", name)
        prefix = network.get("mac_prefix")
        if prefix is not None and not re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){2}", prefix.lower()):
            yield ("MAC prefixes are three bytes", name)
        try:
            subnet = ipaddress.ip_network(network["network"])
        except ValueError:
            yield ("networks are IPv4 networks", name)
            continue
        if not 16 <= subnet.prefixlen <= 30:
            yield ("networks have a fit size", name)
        for bits in (network.get("reservations"), network.get("ext_reservations")):
            if bits is not None and not re.fullmatch(f"[01]{{{subnet.num_addresses}}}", bits):
                yield ("bitmaps fit their network", name)
        if "gateway" in network:
            yield from _gateway(network, subnet.num_addresses)


def _gateway(network: Value, size: int) -> Iterator[Breach]:
    name, place = network["name"], _place(network, network["gateway"])
    if place is None:
        yield ("gateways are in their network", name)
    elif place in (0, size - 1):
        yield ("gateways are hosts", name)
    elif not _taken(network, place):
        yield ("gateways are not given out", name)


def _place(network: Value, ip: str) -> int | None:
    try:
        subnet, address = ipaddress.ip_network(network["network"]), ipaddress.ip_address(ip)
    except ValueError:
        return None
    return int(address) - int(subnet[0]) if address in subnet else None


def _taken(network: Value, place: int) -> bool:
    maps = (network.get("reservations") or "", network.get("ext_reservations") or "")
    return any(bits[place : place + 1] == "1" for bits in maps)


def _filters(config: Value) -> Iterator[Breach]:
    for rule in config["filters"].values():
        if rule["priority"] < 0:
            yield ("filter priorities are not negative", rule["uuid"])
