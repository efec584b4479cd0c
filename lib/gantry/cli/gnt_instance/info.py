"""``gnt-instance info``, from one query: it needs no job and waits for no lock."""

from __future__ import annotations

from gantry.cli import exit_codes
from gantry.cli.cell_text import size_text, time_text
from gantry.cli.command import Arguments, Command
from gantry.cli.description import ROMAN, Record, inherited, records
from gantry.cli.errors import CommandError
from gantry.cli.info_text import Entry, print_info
from gantry.cli.invocation import Invocation
from gantry.cli.options import Option, flag
from gantry.cli.query_filter import simple_condition
from gantry.cli.standard_options import FORMAT, PRIORITY

STATIC = flag("-s --static", "static", "only what is configured; ask no node")
ALL = flag("--all", "show_all", "all instances")
OPTIONS: tuple[Option[object], ...] = (STATIC, ALL, ROMAN, PRIORITY, FORMAT)

FIELDS = [
    "name",
    "uuid",
    "serial_no",
    "ctime",
    "mtime",
    "admin_state",
    "pnode",
    "pnode.group",
    "pnode.group.uuid",
    "snodes",
    "snodes.group",
    "snodes.group.uuid",
    "os",
    "osparams",
    "custom_osparams",
    "network_port",
    "hypervisor",
    "hvparams",
    "custom_hvparams",
    "beparams",
    "custom_beparams",
    "nic.macs",
    "nic.ips",
    "nic.modes",
    "nic.links",
    "nic.vlans",
    "nic.networks.names",
    "nic.uuids",
    "nic.names",
    "disk_template",
    "disk.sizes",
    "disk.spindles",
    "disk.names",
    "disk.uuids",
]
LIVE_FIELDS = ["oper_state"]
"""What only the instance's node knows."""


def run_info(call: Invocation) -> int:
    """Print what is known of instances."""
    everything = call.options[ALL]
    if everything == bool(call.arguments):
        raise CommandError("Failure: name the instances, or give --all")
    condition = None if everything else simple_condition("name", call.arguments)
    live = [] if call.options[STATIC] else LIVE_FIELDS
    found = records(call.client.query("instance", [*FIELDS, *live], condition))
    described = [_describe(each, live=bool(live)) for each in found]
    print_info(call, described, raw=[each.values() for each in found])
    return exit_codes.SUCCESS


def _describe(instance: Record, *, live: bool) -> list[Entry]:
    return [
        Entry("Instance name", instance["name"]),
        Entry("UUID", instance["uuid"]),
        Entry("Serial number", instance["serial_no"]),
        Entry("Creation time", time_text(instance["ctime"])),
        Entry("Modification time", time_text(instance["mtime"])),
        Entry("State", _state(instance, live=live)),
        Entry("Nodes", _nodes(instance)),
        Entry("Operating system", instance["os"]),
        Entry("Operating system parameters", _parameters(instance, "osparams")),
        Entry("Allocated network port", instance["network_port"]),
        Entry("Hypervisor", instance["hypervisor"]),
        Entry("Hypervisor parameters", _parameters(instance, "hvparams")),
        Entry("Back-end parameters", _backend(instance)),
        Entry("NICs", [_nic(instance, at) for at in range(len(instance.items("nic.macs")))]),
        Entry("Disk template", instance["disk_template"]),
        Entry("Disks", [_disk(instance, at) for at in range(len(instance.items("disk.sizes")))]),
    ]


def _state(instance: Record, *, live: bool) -> str:
    configured = f"configured to be {instance['admin_state']}"
    if not live:
        return configured
    match instance["oper_state"]:
        case True:
            return f"{configured}, actual state is up"
        case False:
            return f"{configured}, actual state is down"
        case _:
            return f"{configured}, actual state is unknown"


def _parameters(instance: Record, name: str) -> dict[str, object]:
    return inherited(instance.mapping(f"custom_{name}"), instance.mapping(name))


def _backend(instance: Record) -> dict[str, object]:
    described = _parameters(instance, "beparams")
    actual = instance.mapping("beparams")
    if "maxmem" in actual:
        # The name that memory had before there were two limits; old scripts look for it.
        described["memory"] = f"default ({actual['maxmem']})"
    return described


def _nodes(instance: Record) -> list[object]:
    secondaries = [
        [
            Entry(str(node), ""),
            Entry(
                "group",
                _group(instance.at("snodes.group", at), instance.at("snodes.group.uuid", at)),
            ),
        ]
        for at, node in enumerate(instance.items("snodes"))
    ]
    group = _group(instance["pnode.group"], instance["pnode.group.uuid"])
    return [
        [Entry("primary", instance["pnode"]), Entry("group", group)],
        [Entry("secondaries", secondaries)],
    ]


def _group(name: object, uuid: object) -> str:
    return f"{name} (UUID {uuid})"


def _nic(instance: Record, at: int) -> list[Entry]:
    vlan = instance.at("nic.vlans", at)
    return [
        Entry(f"nic/{at}", ""),
        Entry("MAC", instance.at("nic.macs", at)),
        Entry("IP", instance.at("nic.ips", at)),
        Entry("mode", instance.at("nic.modes", at)),
        Entry("link", instance.at("nic.links", at)),
        Entry("vlan", "" if vlan is None else vlan),
        Entry("network", instance.at("nic.networks.names", at)),
        Entry("UUID", instance.at("nic.uuids", at)),
        Entry("name", instance.at("nic.names", at)),
    ]


def _disk(instance: Record, at: int) -> list[Entry]:
    size = instance.at("disk.sizes", at)
    text = size_text(size, "h") if isinstance(size, (int, float)) else str(size)
    entries = [Entry(f"disk/{at}", f"{instance['disk_template']}, size {text}")]
    if (spindles := instance.at("disk.spindles", at)) is not None:
        entries.append(Entry("spindles", spindles))
    return [
        *entries,
        Entry("name", instance.at("disk.names", at)),
        Entry("UUID", instance.at("disk.uuids", at)),
    ]


COMMANDS = (Command("info", run_info, (Arguments("instance", 0, None),), OPTIONS),)
