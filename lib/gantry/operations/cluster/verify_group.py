"""OP_CLUSTER_VERIFY_GROUP: compare a group's nodes and instances with the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from gantry.operations.cluster.findings import Finding, demoted, is_good, line
from gantry.operations.instance.spec import disk_spec
from gantry.operations.lookup import disks_of, find_group
from gantry.operations.operation import Locks, Operation, locks
from gantry.operations.world import NoAnswer, World
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.identity import NodeUuid
from gantry.protocols.noded import Check, CheckReport
from gantry.protocols.objects.instance import Instance
from gantry.protocols.objects.node import Node
from gantry.protocols.opcodes.verification import OpClusterVerifyGroup
from gantry.protocols.parameters.filled import filled_nicparams
from gantry.protocols.runtime_types import DiskSpec
from gantry.protocols.steps import Plan
from gantry.protocols.wconfd import ConfigPart, Selection

CLOCK_SKEW_SECONDS_MAX: Final = 150.0
"""As in Ganeti, on both sides of the time that the question took."""


@frozen
class Group:
    """A node group with what belongs to it."""

    part: ConfigPart
    nodes: tuple[Node, ...]
    instances: tuple[Instance, ...]


async def _read(opcode: OpClusterVerifyGroup, world: World) -> Group:
    part = await world.read(Selection(nodes="all", groups="all", instances="all"))
    group = find_group(part, opcode.group_name)
    nodes = sorted((n for n in part.nodes.values() if n.group == group.uuid), key=_name)
    members = {node.uuid for node in nodes}
    instances = [i for i in part.instances.values() if i.primary_node in members]
    return Group(part, tuple(nodes), tuple(sorted(instances, key=_name)))


def _name(named: Node | Instance) -> str:
    return named.name


async def needed_locks(opcode: OpClusterVerifyGroup, world: World) -> Locks:
    """Lock the group, its nodes and its instances shared, and keep others off the resources.

    Else what is just being made on a node would be taken for something that nobody owns.
    """
    group = await _read(opcode, world)
    return locks(
        ("instance", "shared", [each.name for each in group.instances]),
        ("nodegroup", "shared", [find_group(group.part, opcode.group_name).uuid]),
        ("node", "shared", [node.uuid for node in group.nodes]),
        ("node-res", "shared", [node.uuid for node in group.nodes]),
    )


async def plan(opcode: OpClusterVerifyGroup, world: World) -> Plan:
    """Ask all nodes at once and compare; the result is whether all is well."""
    group = await _read(opcode, world)
    asked = [node for node in group.nodes if not node.offline]
    world.say(f"* Gathering data ({len(asked)} nodes)")
    checks = {node.uuid: _check(group, node) for node in asked}
    began = world.now()
    reports = await world.ask_all(asked, lambda node, n: n.verify(checks[node.uuid]))
    window = (began - CLOCK_SKEW_SECONDS_MAX, world.now() + CLOCK_SKEW_SECONDS_MAX)
    found: list[Finding] = []
    world.say("* Verifying node status")
    for node in asked:
        found += _about_node(group, node, reports[node.uuid], window)
    found += _about_versions(asked, reports)
    world.say("* Verifying instance status")
    for instance in group.instances:
        found += _about_instance(group, instance, reports)
    if opcode.debug_simulate_errors:
        found.append(Finding("ENODERPC", "node", None, "simulated error"))
    reported = [demoted(each, opcode.ignore_errors) for each in found]
    world.say(*(line(each, codes=opcode.error_codes) for each in reported))
    world.say(*_notes(group))
    return Plan(opcode.op_id(), OPERATION.version, (), is_good(reported))


def _check(group: Group, node: Node) -> Check:
    own = [each for each in group.instances if each.primary_node == node.uuid]
    peers = {n.name: n.primary_ip for n in group.nodes if not n.offline and n != node}
    cluster = group.part.cluster
    nics = [filled_nicparams(cluster, nic) for each in own for nic in each.nics]
    return Check(
        hypervisors=tuple(cluster.enabled_hypervisors) if node.vm_capable else (),
        bridges=tuple(sorted({nic.link for nic in nics if nic.mode == "bridged"})),
        peers=peers,
        disks=tuple(disk for each in own for disk in _disks(group.part, each)),
    )


def _disks(part: ConfigPart, instance: Instance) -> list[DiskSpec]:
    """Return the disks that a node can look for; others have no driver."""
    specs = []
    for index, disk in enumerate(disks_of(part, instance)):
        try:
            specs.append(disk_spec(disk, index))
        except OpPrereqError:
            continue
    return specs


def _about_node(
    group: Group, node: Node, report: CheckReport | NoAnswer, window: tuple[float, float]
) -> Iterator[Finding]:
    if isinstance(report, NoAnswer):
        yield Finding("ENODERPC", "node", node.name, f"does not answer: {report.text}")
        return
    earliest, latest = window
    if not earliest <= report.time <= latest:
        behind = max(earliest - report.time, report.time - latest)
        text = f"clock is off by at least {behind + CLOCK_SKEW_SECONDS_MAX:.1f} s"
        yield Finding("ENODETIME", "node", node.name, text)
    for hypervisor, problem in sorted(report.hypervisor_problems.items()):
        yield Finding("ENODEHV", "node", node.name, f"hypervisor {hypervisor}: {problem}")
    if report.missing_bridges:
        missing = ", ".join(report.missing_bridges)
        text = f"no bridge {missing}: guests have QEMU's user-mode network there instead"
        yield Finding("ENODENET", "node", node.name, text, "WARNING")
    for peer, problem in sorted(report.unreachable_peers.items()):
        yield Finding("ENODENET", "node", node.name, f"does not reach node {peer}: {problem}")
    for problem in report.storage_problems:
        yield Finding("ENODEFILESTORAGEPATHUNUSABLE", "node", node.name, problem)
    known = {each.name for each in group.part.instances.values()}
    for runtime in report.instances:
        if runtime.name not in known:
            text = f"unknown instance {runtime.name} runs here"
            yield Finding("ENODEORPHANINSTANCE", "node", node.name, text)


def _about_versions(
    nodes: list[Node], reports: Mapping[NodeUuid, CheckReport | NoAnswer]
) -> Iterator[Finding]:
    releases: dict[str, list[str]] = {}
    for node in nodes:
        report = reports[node.uuid]
        if isinstance(report, CheckReport):
            releases.setdefault(report.release, []).append(node.name)
    if len(releases) < 2:
        return
    usual = max(releases, key=lambda release: len(releases[release]))
    for release, names in releases.items():
        for name in names if release != usual else ():
            text = f"runs release {release}, most nodes run {usual}"
            yield Finding("ENODEVERSION", "node", name, text, "WARNING")


def _about_instance(
    group: Group, instance: Instance, reports: Mapping[NodeUuid, CheckReport | NoAnswer]
) -> Iterator[Finding]:
    name, primary = instance.name, group.part.nodes[instance.primary_node]
    if primary.offline:
        if instance.admin_state == "up":
            text = f"primary node {primary.name} is offline"
            yield Finding("EINSTANCEBADNODE", "instance", name, text)
        return
    for uuid, report in reports.items():
        if isinstance(report, CheckReport) and uuid != primary.uuid and _runs(report, name):
            text = f"runs on {group.part.nodes[uuid].name}, which is not its primary node"
            yield Finding("EINSTANCEWRONGNODE", "instance", name, text)
    own = reports.get(primary.uuid)
    if not isinstance(own, CheckReport):
        return
    if instance.admin_state == "up" and not _runs(own, name):
        text = f"should be running on {primary.name} and is not"
        yield Finding("EINSTANCEDOWN", "instance", name, text)
    for disk in disks_of(group.part, instance):
        if disk.uuid in own.missing_disks:
            text = f"the data of {disk.iv_name} is missing on {primary.name}"
            yield Finding("EINSTANCEMISSINGDISK", "instance", name, text)


def _runs(report: CheckReport, name: str) -> bool:
    return any(r.name == name and r.state in ("running", "paused") for r in report.instances)


def _notes(group: Group) -> Iterator[str]:
    yield "* Other Notes"
    offline = sum(node.offline for node in group.nodes)
    drained = sum(node.drained for node in group.nodes)
    idle = sum(each.admin_state == "offline" for each in group.instances)
    for count, what in (
        (idle, "offline instance"),
        (offline, "offline node"),
        (drained, "drained node"),
    ):
        if count:
            yield f"  - NOTICE: {count} {what}(s) found."


OPERATION: Final = Operation(OpClusterVerifyGroup, needed_locks, plan)
