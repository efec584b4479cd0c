"""``gnt-network info``: networks, and a map of the addresses that are taken."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from gantry.cli import exit_codes
from gantry.cli.command import Arguments, Command
from gantry.cli.description import Record, records
from gantry.cli.invocation import Invocation
from gantry.cli.options import Option
from gantry.cli.query_filter import simple_condition
from gantry.cli.standard_options import FORMAT

FIELDS = [
    *("name", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count"),
    *("reserved_count", "map", "group_list", "inst_list", "external_reservations"),
    *("serial_no", "uuid"),
]
INSTANCE_FIELDS = ["name", "nic.ips", "nic.networks"]
MAP_WIDTH = 64
OPTIONS: tuple[Option[object], ...] = (FORMAT,)


def run_info(call: Invocation) -> int:
    """Print what is known of networks."""
    condition = simple_condition("name", call.arguments) if call.arguments else None
    found = records(call.client.query("network", FIELDS, condition))
    if call.options[FORMAT] != "table":
        from gantry.cli import machine_output

        values = [each.values() for each in found]
        sys.stdout.write(machine_output.render(values, call.options[FORMAT]))
        return exit_codes.SUCCESS
    for network in found:
        names = network.items("inst_list")
        users = records(
            call.client.query("instance", INSTANCE_FIELDS, simple_condition("name", names))
        )
        for line in _lines(network, users if names else []):
            call.say(line)
    return exit_codes.SUCCESS


def _lines(network: Record, users: list[Record]) -> Iterator[str]:
    yield f"Network name: {network['name']}"
    yield f"UUID: {network['uuid']}"
    yield f"Serial number: {network['serial_no']}"
    yield f"  Subnet: {network['network']}"
    yield f"  Gateway: {network['gateway']}"
    yield f"  IPv6 Subnet: {network['network6']}"
    yield f"  IPv6 Gateway: {network['gateway6']}"
    yield f"  Mac Prefix: {network['mac_prefix']}"
    yield from _addresses(network)
    groups = network.items("group_list")
    yield "  connected to node groups:" if groups else "  not connected to any node group"
    for group in groups:
        if isinstance(group, list):
            name, mode, link, vlan = group
            yield f"    {name} (mode:{mode} link:{link} vlan:{vlan})"
    yield f"  used by {len(users)} instances:" if users else "  not used by any instances"
    for user in users:
        uses = ", ".join(_uses(network["uuid"], user))
        yield f"    {user['name']}: {uses}"


def _addresses(network: Record) -> Iterator[str]:
    free, reserved = network["free_count"], network["reserved_count"]
    if isinstance(free, int) and isinstance(reserved, int) and free + reserved:
        size = free + reserved
        yield f"  Size: {size}"
        yield f"  Free: {free} ({100 * free / size:.2f}%)"
    taken = str(network["map"] or "")
    yield "  Usage map:"
    for begin in range(0, len(taken), MAP_WIDTH):
        part = taken[begin : begin + MAP_WIDTH]
        yield f"    {begin:>5} {part} {begin + len(part) - 1}"
    yield "         (X) used    (.) free"
    external = str(network["external_reservations"] or "")
    if external:
        yield "  externally reserved IPs:"
        yield f"    {external}"


def _uses(network: object, instance: Record) -> Iterator[str]:
    places = zip(instance.items("nic.ips"), instance.items("nic.networks"), strict=False)
    for index, (ip, of) in enumerate(places):
        if of == network:
            yield f"{index}:{ip}"


COMMANDS = (Command("info", run_info, (Arguments("network", 0, None),), OPTIONS),)
