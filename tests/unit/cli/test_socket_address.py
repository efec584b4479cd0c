"""Finding LuxiD's socket, and saying why there is none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from gantry.cli.errors import CommandError
from gantry.cli.socket_address import ADDRESS_BYTES_MAX, luxi_address, require_master


def long_root(folder: Path) -> Path:
    root = folder / ("n" * ADDRESS_BYTES_MAX)
    (root / "var/run/ganeti/socket").mkdir(parents=True)
    return root


def test_a_short_path_is_taken_as_it_is() -> None:
    assert luxi_address("/") == "/var/run/ganeti/socket/ganeti-query"


def test_a_long_path_is_reached_through_its_link(tmp_path: Path) -> None:
    root = long_root(tmp_path)
    (root / "var/run/ganeti/socket/ganeti-query").symlink_to("/run/gantry/x/query")
    assert luxi_address(str(root)) == "/run/gantry/x/query"


def test_a_link_may_be_relative_and_lead_to_another(tmp_path: Path) -> None:
    root = long_root(tmp_path)
    place = root / "var/run/ganeti/socket"
    (place / "ganeti-query").symlink_to("second")
    (place / "second").symlink_to("/run/query")
    assert luxi_address(str(root)) == "/run/query"


def test_a_long_path_that_is_no_link_is_told(tmp_path: Path) -> None:
    root = long_root(tmp_path)
    (root / "var/run/ganeti/socket/ganeti-query").touch()
    with pytest.raises(CommandError, match="longer than 107 bytes"):
        luxi_address(str(root))


def test_a_link_that_leads_to_itself_ends(tmp_path: Path) -> None:
    root = long_root(tmp_path)
    (root / "var/run/ganeti/socket/ganeti-query").symlink_to("ganeti-query")
    with pytest.raises(CommandError, match="longer than 107 bytes"):
        luxi_address(str(root))


def test_a_machine_without_a_cluster_ends_with_5() -> None:
    with (
        tempfile.TemporaryDirectory() as root,
        pytest.raises(CommandError, match="gantry join") as caught,
    ):
        require_master(root, {})
    assert caught.value.exit_code == 5


def test_a_node_that_is_not_the_master_ends_with_11_and_names_it(cluster_root: Path) -> None:
    with pytest.raises(CommandError, match="give the command on node1") as caught:
        require_master(str(cluster_root), {"GANETI_HOSTNAME": "node2"})
    assert caught.value.exit_code == 11


def test_the_master_has_no_excuse(cluster_root: Path) -> None:
    require_master(str(cluster_root), {})


def test_a_short_host_name_is_the_master_too(cluster_root: Path) -> None:
    (cluster_root / "var/lib/ganeti/ssconf_master_node").write_text("node1.example.org\n")
    require_master(str(cluster_root), {})
