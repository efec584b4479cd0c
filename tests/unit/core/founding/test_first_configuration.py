"""What ``gnt-cluster init`` makes: as Ganeti would, from nothing but a name; or as it was told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gantry.core.founding.configuration import FoundingFacts, first_configuration
from gantry.core.founding.request import FoundingRefused, parse_request
from gantry.core.ssconf import parse_candidate_certs, ssconf_values
from gantry.protocols.identity import ClusterUuid, GroupUuid, NodeUuid
from gantry.protocols.objects.configuration import dump_configuration, load_configuration
from gantry.protocols.parameters.parameter_set import BadParameter

FACTS = Path(__file__).parents[3] / "facts"

MACHINE = FoundingFacts(
    now=1_700_000_000.5,
    cluster_uuid=ClusterUuid("11111111-1111-4111-8111-111111111111"),
    node_uuid=NodeUuid("22222222-2222-4222-8222-222222222222"),
    group_uuid=GroupUuid("33333333-3333-4333-8333-333333333333"),
    node_name="node1.gantry.test",
    node_address="127.70.1.1",
    cluster_address="127.70.1.254",
    certificate_digest="AA:BB",
    host_key="AAAA",
)


def made(**options: object) -> dict[str, object]:
    request = parse_request({"cluster_name": "cluster.gantry.test", **options})
    return dump_configuration(first_configuration(request, MACHINE))


def cluster_of(**options: object) -> dict[str, object]:
    cluster = made(**options)["cluster"]
    assert isinstance(cluster, dict)
    return cluster


def test_the_schema_is_ganetis() -> None:
    ganetis = json.loads((FACTS / "samples" / "config.data").read_text())
    ours = made()
    assert ours.keys() == ganetis.keys()
    assert cluster_of().keys() == ganetis["cluster"].keys()
    assert load_configuration(json.loads(json.dumps(ours))).cluster.serial_no == 1
    for part in ("hvparams", "diskparams", "ndparams", "beparams", "data_collectors", "nicparams"):
        assert keys(cluster_of()[part]) == keys(ganetis["cluster"][part]), part
    assert keys(cluster_of()["ipolicy"]) == keys(ganetis["cluster"]["ipolicy"])
    for kind in ("nodes", "nodegroups"):
        sample, own = next(iter(ganetis[kind].values())), ours[kind]
        assert isinstance(own, dict)
        assert next(iter(own.values())).keys() == sample.keys()


def keys(value: object) -> object:
    """Return only the structure of a value: the keys of all objects in it."""
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items()}
    items = value if isinstance(value, list) else []
    return [keys(each) for each in items if isinstance(each, dict)] or None


def test_what_is_given_is_taken() -> None:
    cluster = cluster_of(
        enabled_hypervisors="fake,kvm",
        enabled_disk_templates="diskless,file",
        beparams={"memory": "512m", "vcpus": "2"},
        nicparams={"link": "br7"},
        hvparams=[("kvm", {"serial_speed": "115200"})],
        ndparams={"ssh_port": "2222"},
        mac_prefix="AA:00:17",
        uid_pool="1000-1009,2000",
        ipolicy_bounds_specs=[{"min": {"memory-size": "64"}, "max": {"memory-size": "1g"}}],
        ipolicy_vcpu_ratio=8.0,
        candidate_pool_size=3,
        primary_ip_version=4,
    )
    assert cluster["enabled_hypervisors"] == ["fake", "kvm"]
    beparams, policy = cluster["beparams"], cluster["ipolicy"]
    assert isinstance(beparams, dict)
    assert isinstance(policy, dict)
    assert beparams["default"]["minmem"] == beparams["default"]["maxmem"] == 512
    assert policy["disk-templates"] == ["diskless", "file"]
    assert policy["minmax"][0]["min"]["memory-size"] == 64
    assert policy["minmax"][0]["max"]["memory-size"] == 1024
    assert policy["vcpu-ratio"] == 8.0
    assert cluster["uid_pool"] == [[1000, 1009], [2000, 2000]]
    assert cluster["mac_prefix"] == "aa:00:17"
    assert cluster["master_netdev"] == "br7"
    hvparams = cluster["hvparams"]
    assert isinstance(hvparams, dict)
    assert hvparams["kvm"]["serial_speed"] == 115200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cluster_name": "no good"}, "is no host name"),
        ({"enabled_hypervisors": "kvmm"}, "no hypervisor kvmm; choose from: fake, kvm"),
        ({"enabled_hypervisors": "xen-pvm"}, "xen-pvm is not supported yet"),
        ({"enabled_disk_templates": "drbd"}, "drbd is not supported yet"),
        ({"hvparams": [("qemu", {})]}, "no hypervisor qemu"),
        ({"hvparams": [("kvm", None)]}, "nothing to remove or reset"),
        ({"mac_prefix": "01:00:00"}, "multicast"),
        ({"mac_prefix": "xy"}, "three bytes"),
        ({"file_storage_dir": "srv"}, "must be an absolute path"),
        ({"candidate_pool_size": 0}, "at least 1"),
        ({"master_netmask": "33"}, "from 1 to 32"),
        ({"primary_ip_version": "5"}, "is 4 or 6"),
        ({"uid_pool": "9-1"}, "ends before it begins"),
        ({"uid_pool": "a"}, "user ids"),
        ({"ipolicy_disk_templates": ["ext"]}, "none of the enabled"),
        ({"ispecs_mem_size": {"min": "1"}, "ipolicy_std_specs": {"cpu-count": "1"}}, "not by both"),
    ],
)
def test_what_can_not_be_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(FoundingRefused, match=text):
        parse_request({"cluster_name": "cluster.gantry.test", **options})


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(BadParameter, match="no_such"):
        made(beparams={"no_such": "1"})


def test_the_first_ssconf_values() -> None:
    request = parse_request({"cluster_name": "cluster.gantry.test"})
    values = ssconf_values(first_configuration(request, MACHINE))
    config = json.loads((FACTS / "config.json").read_text())
    assert values.keys() == {row["key"] for row in config["ssconf"]}
    assert values["master_node"] == "node1.gantry.test"
    assert values["node_primary_ips"] == "node1.gantry.test 127.70.1.1"
    assert values["ssh_ports"] == "node1.gantry.test=22"
    assert "acpi=True" in values["hvparams_kvm"].splitlines()
    assert parse_candidate_certs(values["master_candidates_certs"]) == {
        "22222222-2222-4222-8222-222222222222": "AA:BB"
    }
