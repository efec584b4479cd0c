"""How a NIC is connected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.drivers.network.backends import NicBackend, Tap, UserMode, choose_backend, tap_name
from gantry.drivers.network.taps import device_names, may_administer_network
from gantry.protocols.identity import NicUuid
from gantry.protocols.runtime_types import DriverFailed, NicMode, NicSpec


@pytest.mark.parametrize(
    ("mode", "link", "may", "expected"),
    [
        ("bridged", "br0", True, Tap("tap0", "br0")),
        ("bridged", "br0", False, UserMode()),
        ("bridged", "br1", True, UserMode()),
        ("routed", "br0", True, UserMode()),
    ],
)
def test_a_tap_needs_a_bridge_and_the_right(
    mode: NicMode, link: str, may: bool, expected: NicBackend
) -> None:
    nic = NicSpec(NicUuid("n"), "aa:00:00:00:00:01", mode, link)
    assert choose_backend(nic, "tap0", bridges={"br0"}, may_make_taps=may) == expected


@given(st.text(), st.uuids(), st.integers(min_value=0, max_value=99))
def test_tap_names_fit_into_an_interface_name(node: str, uuid: object, index: int) -> None:
    name = tap_name(node, str(uuid), index)
    assert len(name.encode()) <= 15
    assert name == tap_name(node, str(uuid), index)
    assert name != tap_name(node + "x", str(uuid), index)


def test_rights_are_read_from_proc() -> None:
    assert may_administer_network("Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert may_administer_network("CapEff:\t0000000000001000\n")
    assert not may_administer_network("CapEff:\t0000000000000fff\n")
    assert not may_administer_network("Name:\tx\n")


def test_device_names() -> None:
    assert device_names(b'[{"ifname":"br0"},{},{"ifname":"br1"}]') == {"br0", "br1"}
    assert device_names(b"") == frozenset()
    with pytest.raises(DriverFailed):
        device_names(b'Object "x" is unknown')
