"""Networks from the command line to an instance's address, with real daemons."""

from __future__ import annotations

import json

from tests.cluster.development import DevCluster


def test_a_networks_addresses_are_given_out_and_taken_back(cluster: DevCluster) -> None:
    cluster.run(
        *("gnt-network", "add", "--network=192.0.2.0/28", "--gateway=192.0.2.1", "--tags=lab"),
        *("--add-reserved-ips=192.0.2.2", "net7"),
    )
    cluster.run("gnt-network", "connect", "-N", "mode=routed,link=100", "net7", "default")
    cluster.run(
        *("gnt-instance", "add", "-t", "diskless", "-n", "node2.gantry.test", "--no-start"),
        *("--no-install", "--no-name-check", "--no-ip-check"),
        *("--net=0:network=net7,ip=pool", "web7.example.com"),
    )
    info = cluster.run("gnt-network", "info", "net7")
    assert "XXXX...........X 15" in info
    assert "default (mode:routed link:100 vlan:)" in info
    assert "web7.example.com: 0:192.0.2.3" in info
    in_use = cluster.execute("gnt-network", "disconnect", "net7", "default")
    assert in_use.returncode == 1
    assert "is used in node group default by web7.example.com" in in_use.stderr
    listed = cluster.run("gnt-network", "list", "--no-headers", "--separator=|", "net7")
    assert listed.strip() == "net7|192.0.2.0/28|192.0.2.1|-|default (routed, 100, )|lab"

    cluster.run("gnt-instance", "remove", "-f", "web7.example.com")
    cluster.run("gnt-network", "modify", "--remove-reserved-ips=192.0.2.2", "net7")
    cluster.run("gnt-network", "disconnect", "net7")
    exported = json.loads(cluster.run("gantry", "export"))["networks"]
    [network] = [each for each in exported.values() if each["name"] == "net7"]
    assert network["reservations"] == "0" * 16
    assert network["ext_reservations"] == "1100000000000001"
    cluster.run("gnt-network", "remove", "net7")
    cluster.run("gnt-cluster", "verify-config")
