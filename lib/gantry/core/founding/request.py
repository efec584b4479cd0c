"""What a user asks for with ``gnt-cluster init``, parsed and checked before anything is done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, cast, get_args

from attrs import field, frozen

from gantry.protocols.errors import GantryError
from gantry.protocols.objects.vocabulary import DiskTemplate, Hypervisor, Parameters, SshKeyType
from gantry.protocols.parameters.backend import BackendParameters
from gantry.protocols.parameters.disk import TEMPLATES
from gantry.protocols.parameters.hypervisor import HYPERVISORS, parse_cluster_hvparams
from gantry.protocols.parameters.instance_policy import dump_ipolicy, fill_ipolicy
from gantry.protocols.parameters.nic import NicParameters
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import ParameterSet, fill, parse_edits
from gantry.protocols.runtime_types import FileTemplate, HypervisorName
from gantry.protocols.values import Json

T = TypeVar("T")

USABLE_HYPERVISORS: Final = get_args(HypervisorName)
USABLE_TEMPLATES: Final = ("diskless", *get_args(FileTemplate))

DEFAULT_HYPERVISORS: Final[tuple[Hypervisor, ...]] = ("kvm",)
DEFAULT_TEMPLATES: Final[tuple[DiskTemplate, ...]] = ("file", "sharedfile", "diskless")
FILE_STORAGE: Final = "/srv/ganeti/file-storage"
SHARED_FILE_STORAGE: Final = "/srv/ganeti/shared-file-storage"
GLUSTER_STORAGE: Final = "/var/run/ganeti/gluster"
MAC_PREFIX: Final = "aa:00:00"
CANDIDATE_POOL_SIZE: Final = 10
COMPRESSION_TOOLS: Final = ("gzip", "gzip-fast", "gzip-slow")
SSH_KEY_BITS: Final = 2048
NETMASK_BITS: Final = {4: 32, 6: 128}
"""The master's address alone: it is added to an interface that has a network already."""

_MAC_PREFIX: Final = re.compile(r"[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_SPECS: Final = {
    "ispecs_cpu_count": "cpu-count",
    "ispecs_disk_count": "disk-count",
    "ispecs_disk_size": "disk-size",
    "ispecs_mem_size": "memory-size",
    "ispecs_nic_count": "nic-count",
}


class FoundingRefused(GantryError, ValueError):
    """A cluster can not be made like this; nothing was changed. The text says why."""


@frozen(kw_only=True)
class FoundingRequest:
    """A cluster that is to be made."""

    cluster_name: str
    enabled_hypervisors: tuple[Hypervisor, ...]
    enabled_disk_templates: tuple[DiskTemplate, ...]
    hvparams: Mapping[str, Parameters]
    """Full, for every hypervisor."""
    beparams: Parameters
    nicparams: Parameters
    ndparams: Parameters
    diskparams: Mapping[str, Parameters]
    """Full, for every template."""
    ipolicy: Mapping[str, Json]
    file_storage_dir: str
    shared_file_storage_dir: str
    gluster_storage_dir: str
    candidate_pool_size: int
    mac_prefix: str
    master_netdev: str
    master_netmask: int
    ip_version: int
    secondary_ip: str | None
    volume_group: str | None
    maintain_node_health: bool
    prealloc_wipe_disks: bool
    use_external_mip_script: bool
    enabled_user_shutdown: bool
    uid_pool: tuple[tuple[int, int], ...]
    default_iallocator: str
    default_iallocator_params: Mapping[str, Json]
    install_image: str
    zeroing_image: str
    compression_tools: tuple[str, ...]
    ssh_key_type: SshKeyType
    ssh_key_bits: int


def parse_request(arguments: Mapping[str, object]) -> FoundingRequest:
    """Parse the options of ``gnt-cluster init``, by Ganeti's names; one not given is ``None``.

    Raises:
        FoundingRefused: a value does not fit.
        gantry.protocols.parameters.parameter_set.BadParameter: a parameter does not.
    """
    given = _Given(arguments)
    nicparams = _filled(NicParameters, given.mapping("nicparams"))
    hypervisors = _hypervisors(given)
    templates = _templates(given)
    version = _ip_version(given)
    return FoundingRequest(
        cluster_name=_cluster_name(given),
        enabled_hypervisors=hypervisors,
        enabled_disk_templates=templates,
        hvparams=_hvparams(given),
        beparams=_filled(BackendParameters, _with_memory(given.mapping("beparams"))),
        nicparams=nicparams,
        ndparams=_filled(NodeParameters, given.mapping("ndparams")),
        diskparams=_diskparams(given),
        ipolicy=_ipolicy(given, templates),
        file_storage_dir=_folder(given, "file_storage_dir", FILE_STORAGE),
        shared_file_storage_dir=_folder(given, "shared_file_storage_dir", SHARED_FILE_STORAGE),
        gluster_storage_dir=_folder(given, "gluster_storage_dir", GLUSTER_STORAGE),
        candidate_pool_size=_pool_size(given),
        mac_prefix=_mac_prefix(given),
        master_netdev=given.text("master_netdev") or str(nicparams["link"]),
        master_netmask=_netmask(given, version),
        ip_version=version,
        secondary_ip=given.text("secondary_ip") or None,
        volume_group=given.text("vg_name") or None,
        maintain_node_health=given.flag("maintain_node_health"),
        prealloc_wipe_disks=given.flag("prealloc_wipe_disks"),
        use_external_mip_script=given.flag("use_external_mip_script"),
        enabled_user_shutdown=given.flag("enabled_user_shutdown"),
        uid_pool=_uid_pool(given),
        default_iallocator=given.text("default_iallocator") or "hail",
        default_iallocator_params=given.mapping("default_iallocator_params"),
        install_image=given.text("install_image"),
        zeroing_image=given.text("zeroing_image"),
        compression_tools=_words(given.text("compression_tools")) or COMPRESSION_TOOLS,
        ssh_key_type=cast(SshKeyType, given.text("ssh_key_type") or "rsa"),
        ssh_key_bits=given.number("ssh_key_bits", SSH_KEY_BITS),
    )


@frozen
class _Given:
    """The options as the command line has parsed them."""

    arguments: Mapping[str, object] = field(repr=False)

    def text(self, name: str) -> str:
        value = self.arguments.get(name)
        return "" if value is None else str(value)

    def flag(self, name: str) -> bool:
        return self.arguments.get(name) is True

    def number(self, name: str, default: int) -> int:
        value = self.arguments.get(name)
        return value if type(value) is int else default

    def mapping(self, name: str) -> Mapping[str, Json]:
        value = self.arguments.get(name)
        return cast("Mapping[str, Json]", value) if isinstance(value, Mapping) else {}

    def identified(self, name: str) -> dict[str, Mapping[str, Json]]:
        """Return a list of (identifier, parameters) as a dictionary."""
        found: dict[str, Mapping[str, Json]] = {}
        pairs = cast("Sequence[tuple[str, object]]", self.arguments.get(name) or ())
        for identifier, parameters in pairs:
            if not isinstance(parameters, Mapping):
                raise FoundingRefused(f"{identifier}: a new cluster has nothing to remove or reset")
            found[identifier] = {**found.get(identifier, {}), **parameters}
        return found


def _cluster_name(given: _Given) -> str:
    name = given.text("cluster_name").lower().rstrip(".")
    if not _NAME.fullmatch(name):
        raise FoundingRefused(f"{name!r} is no host name; a cluster's name resolves to its address")
    return name


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _chosen(
    text: str, known: Sequence[str], usable: Sequence[str], default: tuple[T, ...], what: str
) -> tuple[T, ...]:
    words = _words(text)
    for word in words:
        if word not in known:
            raise FoundingRefused(f"there is no {what} {word}; choose from: {', '.join(usable)}")
        if word not in usable:
            supported = ", ".join(usable)
            raise FoundingRefused(
                f"the {what} {word} is not supported yet; choose from: {supported}"
            )
    return cast("tuple[T, ...]", tuple(dict.fromkeys(words))) or default


def _hypervisors(given: _Given) -> tuple[Hypervisor, ...]:
    text = given.text("enabled_hypervisors")
    known = get_args(Hypervisor)
    return _chosen(text, known, USABLE_HYPERVISORS, DEFAULT_HYPERVISORS, "hypervisor")


def _templates(given: _Given) -> tuple[DiskTemplate, ...]:
    text = given.text("enabled_disk_templates")
    known = get_args(DiskTemplate)
    return _chosen(text, known, USABLE_TEMPLATES, DEFAULT_TEMPLATES, "disk template")


def _filled(cls: type[ParameterSet], given: Mapping[str, Json]) -> Parameters:
    return fill(cls, cast("Mapping[str, Json]", parse_edits(cls, given).given)).as_json()


def _with_memory(given: Mapping[str, Json]) -> Mapping[str, Json]:
    """Let ``memory`` set the least and the most memory at once."""
    memory = given.get("memory")
    rest = {name: value for name, value in given.items() if name != "memory"}
    return rest if memory is None else {"minmem": memory, "maxmem": memory, **rest}


def _hvparams(given: _Given) -> dict[str, Parameters]:
    wanted = given.identified("hvparams")
    for name in wanted.keys() - set(HYPERVISORS):
        raise FoundingRefused(f"there is no hypervisor {name}; check --hypervisor-parameters")
    return {
        name: fill(
            cls,
            cast("Mapping[str, Json]", parse_cluster_hvparams(name, wanted.get(name, {})).given),
        ).as_json()
        for name, cls in HYPERVISORS.items()
    }


def _diskparams(given: _Given) -> dict[str, Parameters]:
    wanted = given.identified("diskparams")
    for name in wanted.keys() - set(TEMPLATES):
        raise FoundingRefused(f"there is no disk template {name}; check --disk-parameters")
    return {name: _filled(cls, wanted.get(name, {})) for name, cls in TEMPLATES.items()}


def _folder(given: _Given, name: str, default: str) -> str:
    value = given.arguments.get(name)
    path = default if value is None else str(value)
    if path and not path.startswith("/"):
        raise FoundingRefused(f"--{name.replace('_', '-')} must be an absolute path, not {path!r}")
    return path.rstrip("/")


def _pool_size(given: _Given) -> int:
    size = given.number("candidate_pool_size", CANDIDATE_POOL_SIZE)
    if size < 1:
        raise FoundingRefused("--candidate-pool-size must be at least 1: the master is a candidate")
    return size


def _mac_prefix(given: _Given) -> str:
    prefix = (given.text("mac_prefix") or MAC_PREFIX).lower()
    if not _MAC_PREFIX.fullmatch(prefix) or int(prefix[:2], 16) & 1:
        raise FoundingRefused(
            f"--mac-prefix {prefix!r}: three bytes such as {MAC_PREFIX} are needed, "
            "the first one even (odd ones are multicast)"
        )
    return prefix


def _ip_version(given: _Given) -> int:
    text = given.text("primary_ip_version") or "4"
    if text not in ("4", "6"):
        raise FoundingRefused(f"--primary-ip-version is 4 or 6, not {text!r}")
    return int(text)


def _netmask(given: _Given, version: int) -> int:
    most = NETMASK_BITS[version]
    text = given.text("master_netmask")
    if not text:
        return most
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise FoundingRefused(
            f"--master-netmask is a number of bits from 1 to {most}, not {text!r}"
        )
    return int(text)


def _uid_pool(given: _Given) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for word in _words(given.text("uid_pool")):
        first, _, last = word.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise FoundingRefused(f"--uid-pool holds user ids and ranges of them, not {word!r}")
        ranges.append((int(first), int(last or first)))
        if ranges[-1][0] > ranges[-1][1]:
            raise FoundingRefused(f"--uid-pool: the range {word} ends before it begins")
    return tuple(ranges)


def _ipolicy(given: _Given, templates: tuple[DiskTemplate, ...]) -> Mapping[str, Json]:
    layer: dict[str, Json] = {"disk-templates": list(templates)}
    chosen = given.arguments.get("ipolicy_disk_templates")
    if isinstance(chosen, list):
        layer["disk-templates"] = chosen
        if not set(templates) & set(chosen):
            raise FoundingRefused("--ipolicy-disk-templates allows none of the enabled templates")
    for name, key in (
        ("ipolicy_vcpu_ratio", "vcpu-ratio"),
        ("ipolicy_spindle_ratio", "spindle-ratio"),
    ):
        ratio = given.arguments.get(name)
        if isinstance(ratio, int | float):
            layer[key] = float(ratio)
    defaults = dump_ipolicy(fill_ipolicy())
    layer.update(_specs(given, defaults))
    return dump_ipolicy(fill_ipolicy(layer))


def _specs(given: _Given, defaults: Mapping[str, Json]) -> dict[str, Json]:
    """Return the policy's ranges and standard, given whole or resource by resource."""
    bounds, standard = (
        given.arguments.get("ipolicy_bounds_specs"),
        given.mapping("ipolicy_std_specs"),
    )
    single = {key: given.mapping(name) for name, key in _SPECS.items() if given.mapping(name)}
    if single and (bounds or standard):
        raise FoundingRefused("give limits either by --specs-... or by --ipolicy-..., not by both")
    specs: dict[str, Json] = {}
    base = cast("dict[str, dict[str, Json]]", cast("list[Json]", defaults["minmax"])[0])
    std = cast("dict[str, Json]", defaults["std"])
    if isinstance(bounds, list) and bounds:
        specs["minmax"] = [
            {end: {**base[end], **_numbers(group.get(end, {}))} for end in ("min", "max")}
            for group in bounds
        ]
    if standard:
        specs["std"] = {**std, **_numbers(standard)}
    if single:
        ends = {
            end: {**base[end], **{key: _number(v[end]) for key, v in single.items() if end in v}}
            for end in ("min", "max")
        }
        specs["minmax"] = [ends]
        specs["std"] = {**std, **{k: _number(v["std"]) for k, v in single.items() if "std" in v}}
    return specs


def _numbers(given: Mapping[str, Json]) -> dict[str, Json]:
    return {key: _number(value) for key, value in given.items()}


_UNITS: Final = {"m": 1, "g": 1024, "t": 1024 * 1024}


def _number(value: Json) -> Json:
    """Return what a user's text means: a count, or a size in MiB with an optional unit."""
    match = re.fullmatch(r"(\d{1,12})([mgt]?)(?:i?b)?", str(value).strip().lower())
    return value if match is None else int(match[1]) * _UNITS.get(match[2], 1)
