"""The cluster's settings, and what an opcode makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, cast

import attrs

from gantry.protocols.codec import Json
from gantry.protocols.errors import OpPrereqError
from gantry.protocols.objects.cluster import Cluster, DataCollector
from gantry.protocols.objects.vocabulary import Hypervisor, Parameters
from gantry.protocols.opcodes.cluster import OpClusterSetParams
from gantry.protocols.opcodes.vocabulary import OsListChange
from gantry.protocols.parameters.backend import BackendParameters, parse_beparams
from gantry.protocols.parameters.disk import TEMPLATES
from gantry.protocols.parameters.hypervisor import (
    HYPERVISORS,
    parse_cluster_hvparams,
    parse_instance_hvparams,
)
from gantry.protocols.parameters.instance_policy import dump_ipolicy, fill_ipolicy
from gantry.protocols.parameters.nic import NicParameters
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import (
    DEFAULT,
    Edits,
    ParameterSet,
    fill,
    parse_edits,
)

TAKEN_AS_GIVEN: Final = (
    "candidate_pool_size", "max_running_jobs", "max_tracked_jobs", "maintain_node_health",
    "prealloc_wipe_disks", "default_iallocator", "default_iallocator_params", "reserved_lvs",
    "use_external_mip_script", "modify_etc_hosts", "install_image", "zeroing_image",
    "compression_tools", "enabled_user_shutdown", "enabled_hypervisors", "enabled_disk_templates",
)  # fmt: skip
"""Settings that the opcode and the cluster have under the same name and in the same form."""

FOLDERS: Final = ("file_storage_dir", "shared_file_storage_dir", "gluster_storage_dir")

_MAC_PREFIX: Final = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){2}")


def with_settings(cluster: Cluster, opcode: OpClusterSetParams) -> Cluster:
    """Return the cluster with an opcode's settings; what is ``None`` there stays as it is.

    Raises:
        OpPrereqError: a value does not fit.
        BadParameter: a parameter does not exist or can not have the value.
    """
    plain = {name: getattr(opcode, name) for name in (*TAKEN_AS_GIVEN, *FOLDERS)}
    given = {name: value for name, value in plain.items() if value is not None}
    for name in FOLDERS:
        if given.get(name) and not str(given[name]).startswith("/"):
            raise OpPrereqError(f"{name} must be an absolute path, not {given[name]!r}")
    changed: Cluster = attrs.evolve(
        cluster,
        **given,
        hvparams=_hvparams(cluster, opcode),
        beparams=_default(cluster.beparams, parse_beparams(opcode.beparams or {})),
        os_hvp=_os_hvp(cluster, opcode),
        osparams=_osparams(cluster.osparams, opcode.osparams or {}),
        osparams_private_cluster=_osparams(cluster.osparams_private_cluster, _private(opcode)),
        nicparams=_nicparams(cluster, opcode),
        ndparams=_full(
            NodeParameters, cluster.ndparams, parse_edits(NodeParameters, opcode.ndparams or {})
        ),
        diskparams=_diskparams(cluster, opcode),
        ipolicy=_ipolicy(cluster.ipolicy, opcode.ipolicy or {}),
        hidden_os=_listed(cluster.hidden_os, opcode.hidden_os or ()),
        blacklisted_os=_listed(cluster.blacklisted_os, opcode.blacklisted_os or ()),
        mac_prefix=_mac_prefix(opcode.mac_prefix or cluster.mac_prefix),
        data_collectors=_collectors(cluster, opcode),
        uid_pool=_uid_pool(cluster.uid_pool, opcode),
    )
    return changed


def _full(cls: type[ParameterSet], stored: Parameters, edits: Edits) -> Parameters:
    """Return a full set in which a parameter that is reset has the program's default."""
    return fill(cls, cast("Mapping[str, Json]", edits.apply(stored))).as_json()


def _default(stored: Mapping[str, Parameters], edits: Edits) -> Mapping[str, Parameters]:
    return {**stored, DEFAULT: _full(BackendParameters, stored[DEFAULT], edits)}


def _nicparams(cluster: Cluster, opcode: OpClusterSetParams) -> Mapping[str, Parameters]:
    edits = parse_edits(NicParameters, {str(k): v for k, v in (opcode.nicparams or {}).items()})
    return {
        **cluster.nicparams,
        DEFAULT: _full(NicParameters, cluster.nicparams[DEFAULT], edits),
    }


def check_known(hypervisor: str) -> Hypervisor:
    """Return the name of a hypervisor.

    Raises:
        OpPrereqError: there is none of that name.
    """
    if hypervisor not in HYPERVISORS:
        raise OpPrereqError(f"there is no hypervisor {hypervisor}", "wrong_input")
    return cast(Hypervisor, hypervisor)


def _hvparams(cluster: Cluster, opcode: OpClusterSetParams) -> Mapping[str, Parameters]:
    changed = dict(cluster.hvparams)
    for name, given in (opcode.hvparams or {}).items():
        hypervisor = check_known(name)
        edits = parse_cluster_hvparams(hypervisor, given)
        changed[name] = _full(HYPERVISORS[hypervisor], changed.get(name, {}), edits)
    return changed


def _os_hvp(cluster: Cluster, opcode: OpClusterSetParams) -> Mapping[str, Mapping[str, Parameters]]:
    changed = {os: dict(by_hypervisor) for os, by_hypervisor in cluster.os_hvp.items()}
    for os, by_hypervisor in (opcode.os_hvp or {}).items():
        own = changed.setdefault(os, {})
        for name, given in by_hypervisor.items():
            edits = parse_instance_hvparams(check_known(name), _mapping(name, given))
            own[name] = edits.apply(own.get(name, {}))
    return changed


def _mapping(name: str, given: Json) -> Mapping[str, Json]:
    if not isinstance(given, Mapping):
        raise OpPrereqError(f"{name} needs parameters, not {given!r}", "wrong_input")
    return given


def _private(opcode: OpClusterSetParams) -> Mapping[str, Mapping[str, Json]]:
    given = opcode.osparams_private_cluster or {}
    return {os: {name: each.value for name, each in own.items()} for os, own in given.items()}


def _osparams(
    stored: Mapping[str, Mapping[str, str]], given: Mapping[str, Mapping[str, Json]]
) -> Mapping[str, Mapping[str, str]]:
    changed = dict(stored)
    for os, own in given.items():
        kept = {name: v for name, v in changed.get(os, {}).items() if own.get(name) != DEFAULT}
        changed[os] = {**kept, **{n: str(v) for n, v in own.items() if v != DEFAULT}}
    return {os: own for os, own in changed.items() if own}


def _diskparams(cluster: Cluster, opcode: OpClusterSetParams) -> Mapping[str, Parameters]:
    changed = dict(cluster.diskparams)
    for template, given in (opcode.diskparams or {}).items():
        cls = TEMPLATES[template]
        changed[template] = _full(cls, changed.get(template, {}), parse_edits(cls, given))
    return changed


def _ipolicy(stored: Mapping[str, Json], given: Mapping[str, Json]) -> Mapping[str, Json]:
    kept = {key: value for key, value in stored.items() if given.get(key) != DEFAULT}
    new = {key: value for key, value in given.items() if value != DEFAULT}
    if isinstance(std := new.get("std"), Mapping):
        new["std"] = {**_mapping("std", stored["std"]), **std}
    return dump_ipolicy(fill_ipolicy(kept, new)) if given else stored


def _listed(stored: tuple[str, ...], changes: Iterable[OsListChange]) -> tuple[str, ...]:
    names = list(stored)
    for verb, name in changes:
        if verb == "add" and name not in names:
            names.append(name)
        elif verb == "remove" and name in names:
            names.remove(name)
    return tuple(names)


def _mac_prefix(given: str) -> str:
    prefix = given.lower()
    if not _MAC_PREFIX.fullmatch(prefix):
        text = f"{given!r} is no prefix of MAC addresses: three bytes, the first one even"
        raise OpPrereqError(text, "wrong_input")
    return prefix


def _collectors(cluster: Cluster, opcode: OpClusterSetParams) -> Mapping[str, DataCollector]:
    changed = dict(cluster.data_collectors)
    switched, paced = opcode.enabled_data_collectors or {}, opcode.data_collector_interval or {}
    if unknown := sorted({*switched, *paced} - changed.keys()):
        raise OpPrereqError(f"there is no data collector {', '.join(unknown)}", "wrong_input")
    for name, active in switched.items():
        changed[name] = attrs.evolve(changed[name], active=active)
    for name, interval in paced.items():
        changed[name] = attrs.evolve(changed[name], interval=interval)
    return changed


def _uid_pool(
    stored: tuple[tuple[int, int], ...], opcode: OpClusterSetParams
) -> tuple[tuple[int, int], ...]:
    ranges = list(stored if opcode.uid_pool is None else opcode.uid_pool)
    ranges += [each for each in opcode.add_uids or () if each not in ranges]
    for each in opcode.remove_uids or ():
        if each not in ranges:
            text = f"the range {each[0]}-{each[1]} is not in the pool of user ids"
            raise OpPrereqError(text, "wrong_input")
        ranges.remove(each)
    for first, last in ranges:
        if first > last:
            raise OpPrereqError(f"the range {first}-{last} ends before it begins", "wrong_input")
    return tuple(sorted(ranges))
