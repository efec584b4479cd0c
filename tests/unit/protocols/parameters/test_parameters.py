"""Parameters: layers, what users may write, what is refused and how it is said."""

import json
from pathlib import Path

import attrs
import pytest

from gantry.protocols.objects.configuration import load_configuration
from gantry.protocols.objects.vocabulary import Hypervisor
from gantry.protocols.parameters.backend import BackendParameters, parse_beparams
from gantry.protocols.parameters.disk import DrbdParameters, NoParameters, mirror_devices
from gantry.protocols.parameters.filled import (
    fill_beparams,
    filled_beparams,
    filled_diskparams,
    filled_hvparams,
    filled_ipolicy,
    filled_ndparams,
    filled_nicparams,
    filled_osparams,
    filled_private_osparams,
)
from gantry.protocols.parameters.hypervisor import (
    parse_cluster_hvparams,
    parse_instance_hvparams,
)
from gantry.protocols.parameters.instance_policy import fill_ipolicy
from gantry.protocols.parameters.kvm import KvmParameters
from gantry.protocols.parameters.node import NodeParameters
from gantry.protocols.parameters.parameter_set import (
    BadParameter,
    Edits,
    check,
    fill,
    parse_edits,
)
from gantry.protocols.values import Json

CONFIGURATION = load_configuration(
    json.loads((Path(__file__).parents[3] / "facts" / "samples" / "config.data").read_text())
)
CLUSTER = CONFIGURATION.cluster
INSTANCE = next(each for each in CONFIGURATION.instances.values() if each.name.startswith("inst1"))
GROUP = next(each for each in CONFIGURATION.nodegroups.values() if each.name == "default")
NODE = next(iter(CONFIGURATION.nodes.values()))
JsonObject = dict[str, Json]


# --- layers --------------------------------------------------------------------------------------


def test_a_later_layer_wins_and_what_no_layer_has_is_the_default() -> None:
    filled = fill(KvmParameters, {"acpi": False, "vga": "std"}, {"vga": "qxl"})
    assert (filled.acpi, filled.vga, filled.boot_order) == (False, "qxl", "disk")


def test_hypervisor_parameters_go_through_cluster_os_and_instance() -> None:
    cluster = attrs.evolve(
        CLUSTER,
        hvparams={**CLUSTER.hvparams, "kvm": {"vga": "std", "keymap": "de", "soundhw": "hda"}},
        os_hvp={"busybox+tiny": {"kvm": {"keymap": "fr", "soundhw": "ac97"}}},
    )
    instance = attrs.evolve(
        INSTANCE, hypervisor="kvm", os="busybox+tiny", hvparams={"soundhw": "es1370"}
    )
    filled = filled_hvparams(cluster, instance)
    assert isinstance(filled, KvmParameters)
    assert (filled.vga, filled.keymap, filled.soundhw) == ("std", "fr", "es1370")
    other = filled_hvparams(cluster, attrs.evolve(instance, os="busybox", hvparams={}))
    assert isinstance(other, KvmParameters)
    assert other.keymap == "de"


def test_a_real_configuration_fills() -> None:
    assert filled_beparams(CLUSTER, INSTANCE) == BackendParameters(minmem=64, maxmem=128, vcpus=2)
    nic = filled_nicparams(CLUSTER, INSTANCE.nics[0])
    assert (nic.mode, nic.link, nic.vlan) == ("bridged", "br0", "")
    assert filled_ndparams(CLUSTER, GROUP, NODE) == NodeParameters()
    assert filled_diskparams(CLUSTER, GROUP, "drbd") == DrbdParameters()
    assert filled_diskparams(CLUSTER, GROUP, "file") == NoParameters()
    policy = filled_ipolicy(CLUSTER, GROUP)
    assert (policy.minmax[0].min.memory_size, policy.vcpu_ratio) == (4, 100000.0)
    for hypervisor in CLUSTER.hvparams:
        parse_cluster_hvparams(as_hypervisor(hypervisor), CLUSTER.hvparams[hypervisor])


def as_hypervisor(name: str) -> Hypervisor:
    known: tuple[Hypervisor, ...] = ("kvm", "fake", "chroot", "lxc", "xen-pvm", "xen-hvm")
    return next(each for each in known if each == name)


def test_os_parameters_go_through_definition_variant_and_instance() -> None:
    cluster = attrs.evolve(
        CLUSTER,
        osparams={"os": {"a": "1", "b": "1", "c": "1"}, "os+v": {"b": "2", "c": "2"}},
        osparams_private_cluster={"os": {"p": "1"}},
    )
    instance = attrs.evolve(INSTANCE, os="os+v", osparams={"c": "3"}, osparams_private={"q": "2"})
    assert filled_osparams(cluster, instance) == {"a": "1", "b": "2", "c": "3"}
    assert filled_private_osparams(cluster, instance) == {"p": "1", "q": "2"}


def test_a_groups_ranges_replace_the_clusters_as_a_whole() -> None:
    amount = dict.fromkeys(("memory-size", "cpu-count", "disk-size"), 1)
    amount |= dict.fromkeys(("disk-count", "nic-count", "spindle-use"), 2)
    ranges: Json = [{"min": amount, "max": amount}]
    policy = fill_ipolicy(CLUSTER.ipolicy, {"minmax": ranges, "vcpu-ratio": 8})
    assert len(policy.minmax) == 1
    assert (policy.minmax[0].max.disk_count, policy.vcpu_ratio) == (2, 8.0)
    assert policy.disk_templates == ("diskless", "file")


@pytest.mark.parametrize(
    "layer",
    [
        {"vcpu-ratio": "4"},
        {"vcpu-ratio": True},
        {"surprise": 1},
        {"disk-templates": ["floppy"]},
        {"minmax": [{"min": {}}]},
        {"minmax": [{"min": {"memory-size": 1}, "max": {}}]},
        {"std": None},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(layer: JsonObject) -> None:
    with pytest.raises(BadParameter, match="instance policy"):
        fill_ipolicy(layer)


def test_a_range_must_not_be_upside_down() -> None:
    small: JsonObject = dict.fromkeys(
        ("memory-size", "cpu-count", "disk-size", "disk-count", "nic-count", "spindle-use"), 1
    )
    large = {**small, "cpu-count": 2}
    fill_ipolicy({"minmax": [{"min": small, "max": large}]})
    with pytest.raises(BadParameter, match="the least cpu-count, 2, is more than the most, 1"):
        fill_ipolicy({"minmax": [{"min": large, "max": small}]})


def test_less_memory_at_most_than_at_least_is_refused() -> None:
    with pytest.raises(BadParameter, match="maxmem: must be at least minmem, 512 MiB, got 256 MiB"):
        fill_beparams(CLUSTER, {"minmem": 512, "maxmem": 256})


def test_template_parameters_reach_the_devices_of_a_mirrored_disk() -> None:
    layer: JsonObject = {"resync-rate": 1, "meta-barriers": True, "metavg": "vg2"}
    devices = mirror_devices(fill(DrbdParameters, layer, {"data-stripes": 2, "meta-stripes": 3}))
    assert (devices.mirror.resync_rate, devices.mirror.disable_meta_flush) == (1, True)
    assert devices.mirror.default_metavg == "vg2"
    assert (devices.data.stripes, devices.meta.stripes) == (2, 3)


# --- stored dictionaries are strict --------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "parameter", "reason"),
    [
        ({"acpi": 1}, "acpi", "expected bool"),
        ({"acpi": "true"}, "acpi", "expected bool"),
        ({"cpu_cores": True}, "cpu_cores", "expected int"),
        ({"cpu_cores": "2"}, "cpu_cores", "expected int"),
        ({"cpu_cores": -1}, "cpu_cores", "a whole number from 0 up"),
        ({"migration_port": 65536}, "migration_port", "from 1 to 65535"),
        ({"disk_type": "floppy"}, "disk_type", "expected one of"),
        ({"spice_ip_version": False}, "spice_ip_version", "expected one of"),
        ({"kernel_path": "vmlinuz"}, "kernel_path", "an absolute path or nothing"),
        ({"vga": None}, "vga", "expected str"),
        ({"colour": "red"}, "colour", "does not exist; there are: acpi, "),
    ],
)
def test_a_wrong_parameter_is_named(given: JsonObject, parameter: str, reason: str) -> None:
    with pytest.raises(BadParameter, match=f"hypervisor kvm: parameter {parameter}: .*{reason}"):
        check(KvmParameters, given)
    with pytest.raises(BadParameter) as caught:
        fill(KvmParameters, given)
    assert (caught.value.parameter, caught.value.value) == (parameter, given[parameter])


def test_a_text_may_be_nothing_at_all_where_the_table_says_so() -> None:
    assert fill(KvmParameters, {"root_path": None}).root_path is None


# --- what users write ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"acpi": "False"}, {"acpi": False}),
        ({"acpi": True}, {"acpi": True}),
        ({"cpu_cores": " 4 "}, {"cpu_cores": 4}),
        ({"serial_speed": 9600}, {"serial_speed": 9600}),
        ({"kernel_path": False}, {"kernel_path": ""}),
        ({"vga": "true"}, {"vga": "true"}),
        ({"kernel_args": "  ro  "}, {"kernel_args": "  ro  "}),
    ],
)
def test_text_is_read_by_the_parameters_type(given: JsonObject, meant: JsonObject) -> None:
    assert parse_instance_hvparams("kvm", given) == Edits(meant)  # type: ignore[arg-type]  # scalars


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        (512, 512),
        ("512", 512),
        ("512m", 512),
        ("512 MiB", 512),
        ("1.5G", 1536),
        ("2t", 2 * 1024 * 1024),
        (510, 512),
        ("0.001g", 4),
        (0, 0),
    ],
)
def test_sizes_may_have_a_unit_and_are_rounded_up(text: Json, mib: int) -> None:
    assert parse_beparams({"maxmem": text}).given == {"maxmem": mib}


def test_memory_is_both_limits_at_once() -> None:
    assert parse_beparams({"memory": "1G"}).given == {"minmem": 1024, "maxmem": 1024}
    both = parse_beparams({"memory": "1G", "minmem": 512, "vcpus": "2"})
    assert both.given == {"minmem": 512, "maxmem": 1024, "vcpus": 2}
    assert parse_beparams({"memory": "default"}).reset == {"minmem", "maxmem"}


def test_default_takes_a_parameter_back_to_the_layer_below() -> None:
    edits = parse_edits(KvmParameters, {"vga": "default", "acpi": "false"})
    assert edits == Edits({"acpi": False}, frozenset({"vga"}))
    assert edits.apply({"vga": "std", "keymap": "de", "acpi": True}) == {
        "keymap": "de",
        "acpi": False,
    }


@pytest.mark.parametrize(
    "given",
    [
        {"acpi": "maybe"},
        {"acpi": 0},
        {"cpu_cores": "two"},
        {"cpu_cores": "1e3"},
        {"cpu_cores": 1.0},
        {"cpu_cores": ""},
        {"cpu_cores": True},
        {"vga": True},
        {"colour": "default"},
        {"acpi": ["true"]},
    ],
)
def test_what_means_nothing_is_refused(given: JsonObject) -> None:
    with pytest.raises(BadParameter, match=f"hypervisor kvm: parameter {next(iter(given))}: "):
        parse_cluster_hvparams("kvm", given)


@pytest.mark.parametrize("size", ["", "much", "-4", "1x", "1e9", True, None, 1.5, "9" * 40])
def test_what_is_no_size_is_refused(size: Json) -> None:
    with pytest.raises(BadParameter, match="parameter minmem"):
        parse_beparams({"minmem": size})


@pytest.mark.parametrize("value", [9000, "default"])
def test_an_instance_can_not_differ_in_what_nodes_must_agree_on(value: Json) -> None:
    assert parse_cluster_hvparams("kvm", {"migration_port": value}) is not None
    with pytest.raises(BadParameter, match="migration_port: can only be set for the whole cluster"):
        parse_instance_hvparams("kvm", {"migration_port": value})


def test_a_hypervisor_has_only_its_own_parameters() -> None:
    with pytest.raises(BadParameter, match="hypervisor fake: parameter acpi: does not exist"):
        parse_instance_hvparams("fake", {"acpi": True})
    with pytest.raises(BadParameter, match="disk parameters: parameter stripes: does not exist"):
        check(NoParameters, {"stripes": 1})
