"""Reservations: chosen values are free, and stay a job's own."""

from __future__ import annotations

import re

import pytest
from attrs import evolve
from tests.unit.core.config.small_cluster import (
    INST1,
    MASTER,
    NETWORK,
    NODE2,
    NOW,
    a_drbd_disk,
    an_instance,
    made,
    sample,
    sample_state,
)

from gantry.core.config.apply import apply
from gantry.core.config.draft import Changed
from gantry.core.config.reservations import Reservations, reserve
from gantry.core.config.state import State
from gantry.protocols.changes import AddInstance, RemoveInstance
from gantry.protocols.device_changes import AddDisk
from gantry.protocols.errors import BadCall
from gantry.protocols.identity import JobId, NodeUuid
from gantry.protocols.wconfd import Reserved, Taken, Want

ONE, TWO = JobId(1), JobId(2)
SEED = b"0123456789abcdef"


def kept(
    reservations: Reservations, job: JobId, *wants: Want, seed: bytes = SEED
) -> tuple[Reservations, tuple[str, ...]]:
    after, result = reserve(sample_state(), reservations, job, wants, seed)
    assert isinstance(result, Reserved), result
    return after, result.values


def test_a_name_is_reserved_once() -> None:
    want = Want("instance name", "new.gnt.test")
    after, values = kept(Reservations(), ONE, want)
    assert values == ("new.gnt.test",)
    assert reserve(sample_state(), after, TWO, (want,), SEED) == (
        after,
        Taken("instance name", "new.gnt.test", "job 1"),
    )
    assert kept(after, ONE, want)[0] == after  # asking again is fine


def test_what_the_configuration_holds_is_taken() -> None:
    mac = sample().instances[INST1].nics[0].mac
    for want, by in (
        (Want("instance name", "inst1.gnt.test"), "instance inst1.gnt.test"),
        (Want("mac", mac.upper()), "instance inst1.gnt.test"),
        (Want("uuid", INST1), "instance inst1.gnt.test"),
        (Want("ip", "10.77.5.2", NETWORK), "instance inst1.gnt.test"),
        (Want("ip", "10.77.5.1", NETWORK), "network net1"),
    ):
        _, result = reserve(sample_state(), Reservations(), ONE, (want,), SEED)
        assert result == Taken(want.kind, want.value or "", by)


def test_all_or_none() -> None:
    wants = (Want("instance name", "new"), Want("instance name", "inst1.gnt.test"))
    after, result = reserve(sample_state(), Reservations(), ONE, wants, SEED)
    assert isinstance(result, Taken)
    assert after == Reservations()


def test_fresh_values() -> None:
    wants = (Want("mac"), Want("mac"), Want("uuid"), Want("port"), Want("port"))
    after, values = kept(Reservations(), ONE, *wants, Want("ip", network=NETWORK))
    assert re.fullmatch(r"aa:00:00(:[0-9a-f]{2}){3}", values[0])
    assert values[0] != values[1]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-.{12}", values[2])
    assert values[3:] == ("11000", "11001", "10.77.5.3")

    _, more = kept(after, TWO, *wants, Want("ip", network=NETWORK), seed=SEED)
    assert not set(values) & set(more)


def test_minors_are_the_lowest_free_ones_of_each_node() -> None:
    disk = a_drbd_disk("new", 11000, 1)
    state = made(AddDisk(disk))
    wants = (Want("minor", node=NODE2), Want("minor", node=NODE2), Want("minor", node=MASTER))
    after, reserved = reserve(state, Reservations(), ONE, wants, SEED)
    assert reserved == Reserved(("0", "2", "0"))
    _, more = reserve(state, after, TWO, (Want("minor", node=NODE2),), SEED)
    assert more == Reserved(("3",))
    _, taken = reserve(state, after, TWO, (Want("minor", "1", node=NODE2),), SEED)
    assert taken == Taken("minor", "1", f"disk {disk.uuid}")


def test_secrets_are_drawn_and_kept_for_nobody() -> None:
    after, values = kept(Reservations(), ONE, Want("secret"), Want("secret"))
    assert after == Reservations()
    assert values[0] != values[1]
    assert all(re.fullmatch(r"[0-9a-f]{40}", value) for value in values)


def test_names_of_every_kind_are_kept() -> None:
    for kind, used, by in (
        ("node name", "node2.gnt.test", "node node2.gnt.test"),
        ("node group name", "default", "nodegroup default"),
        ("network name", "net1", "network net1"),
    ):
        want = Want(kind, "new")  # type: ignore[arg-type] # a loop variable is a plain str
        after, _ = kept(Reservations(), ONE, want)
        _, result = reserve(sample_state(), after, TWO, (want,), SEED)
        assert result == Taken(kind, "new", "job 1")
        _, result = reserve(sample_state(), after, TWO, (evolve(want, value=used),), SEED)
        assert result == Taken(kind, used, by)


def test_a_port_of_the_pool_comes_first() -> None:
    instance = an_instance("new", port=11002)
    state = sample_state()
    for change in (AddInstance(instance, ()), RemoveInstance(instance.uuid)):
        result = apply(state, change, NOW)
        assert isinstance(result, Changed)
        state = State.of(result.configuration)
    _, reserved = reserve(state, Reservations(), ONE, (Want("port"), Want("port", "11002")), SEED)
    assert reserved == Reserved(("11000", "11002"))


def test_what_a_job_reserved_is_free_when_it_ends() -> None:
    after, _ = kept(Reservations(), ONE, Want("instance name", "a"), Want("lv", "xenvg/a"))
    assert after.of(ONE) == tuple(sorted(after.of(ONE)))
    assert len(after.of(ONE)) == 2
    assert after.without_job(ONE) == Reservations()
    assert after.without_job(TWO) == after


def test_what_can_not_be_made_up_or_does_not_exist_is_a_bad_call() -> None:
    for want, text in (
        (Want("instance name"), "can not be made up"),
        (Want("network name"), "can not be made up"),
        (Want("secret", "x"), "can not be asked for"),
        (Want("minor", node=NodeUuid("nowhere")), "no node with the UUID 'nowhere'"),
        (Want("ip", network="nowhere"), "no network with the UUID 'nowhere'"),
        (Want("ip", "10.1.1.1", NETWORK), "is not an address in network net1"),
    ):
        with pytest.raises(BadCall) as caught:
            reserve(sample_state(), Reservations(), ONE, (want,), SEED)
        assert text in caught.value.message


def test_used_up_is_taken() -> None:
    network = sample().networks[NETWORK]
    full = evolve(network, reservations="1" * 256)
    state = State.of(evolve(sample(), networks=sample().networks.set(NETWORK, full)))
    _, result = reserve(state, Reservations(), ONE, (Want("ip", network=NETWORK),), SEED)
    assert result == Taken("ip", NETWORK, "all of them are in use")
