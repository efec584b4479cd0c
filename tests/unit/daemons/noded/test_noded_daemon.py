"""NodeD as a whole: who gets in, what it does, what survives its restart."""

from __future__ import annotations

import stat

import pytest
from attrs import evolve
from tests.unit.daemons.noded.conftest import Machines, calling, running, ticket

from gantry.protocols.errors import ConnectionLost, Forbidden, StaleAttempt, StaleEpoch
from gantry.protocols.identity import Attempt, DiskUuid, Epoch, InstanceUuid, JobId, NodeUuid
from gantry.protocols.noded import PORT, Check, Missing, NothingToUndo, StepFailed
from gantry.protocols.runtime_types import DiskSpec, HookResult, InstanceSpec
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, StartRefused
from gantry.runtime.http.client import HttpClient
from gantry.security.contexts import client_context, introduction_context
from gantry.security.pem_files import AUTHORITY_PEM, SERVER_PEM

DISK = DiskSpec(
    uuid=DiskUuid("d"),
    index=0,
    template="file",
    size_mib=8,
    path="/srv/ganeti/file-storage/web1.test/disk0",
)
WEB1 = InstanceSpec(
    uuid=InstanceUuid("i"),
    name="web1.test",
    hypervisor="fake",
    os="none",
    minmem_mib=64,
    maxmem_mib=64,
    vcpus=1,
    primary_node=NodeUuid("n"),
    disks=(DISK,),
)


async def test_a_machine_that_is_no_node_is_told_what_to_do(machines: Machines) -> None:
    with pytest.raises(StartRefused, match="gantry join") as told:
        async with running(machines.machine(1)):
            pytest.fail("it runs")
    assert told.value.status == EXIT_NOT_CLUSTER


async def test_a_damaged_key_journal_is_a_clear_refusal(machines: Machines) -> None:
    env = await machines.founded()
    (env.paths.data / "node-keys.log").write_bytes(b"garbage\n")
    with pytest.raises(StartRefused, match=r"node-keys\.log: record 0 at byte 0 is damaged"):
        async with running(env):
            pytest.fail("it runs")
    assert (env.paths.data / "node-keys.log").read_bytes() == b"garbage\n"


async def test_the_first_node_answers_itself(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env), calling(env, env) as node:
        version = await node.version()
        assert version.node == "node1.gantry.test"
        assert version.epoch == 1
        info = await node.info(("fake",))
        assert info.memory_total >= info.memory_free > 0
        assert info.disk_total >= info.disk_free > 0
        assert info.cpu_total > 0
        assert info.hypervisor_versions == {"fake": "1"}


async def test_exports_are_the_folders_where_ganeti_keeps_them(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env), calling(env, env) as node:
        assert await node.exports() == ()
        for name in ("web2.test", "web1.test", ".hidden"):
            env.paths.below(f"/srv/ganeti/export/{name}").mkdir(parents=True)
        assert await node.exports() == ("web1.test", "web2.test")


async def test_an_instance_lives_through_a_restart_of_noded(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env), calling(env, env) as node:
        await node.create_disk(ticket(1), WEB1.name, DISK)
        started = await node.start_instance(ticket(2), WEB1, paused=False)
        assert started.state == "running"
    async with running(env), calling(env, env) as node:
        assert [each.name for each in await node.instances(("fake",))] == ["web1.test"]
        here = await node.instance("fake", "web1.test")
        assert here.runtime == started
        assert here.memory_free_mib > 0
        assert (await node.instance("fake", "web2.test")).runtime is None
        with pytest.raises(Missing, match="no driver for hypervisor xen"):
            await node.instance("xen", "web1.test")
        assert await node.start_instance(ticket(2), WEB1, paused=False) == started
        report = await node.verify(Check(("fake",), disks=(DISK,)))
        assert report.missing_disks == ()
        assert [each.name for each in report.instances] == ["web1.test"]
        await node.stop_instance(ticket(3), WEB1, force=True, timeout_seconds=1)
        await node.remove_disk(ticket(4), WEB1.name, DISK)
        assert not await node.disk_exists(WEB1.name, DISK)
        await node.forget_keys((JobId(1),))


async def test_a_disk_that_exists_is_refused_but_not_to_its_own_key(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env), calling(env, env) as node:
        await node.create_disk(ticket(1), WEB1.name, DISK)
        await node.create_disk(ticket(1), WEB1.name, DISK)
        with pytest.raises(StepFailed, match="already exists"):
            await node.create_disk(ticket(2), WEB1.name, DISK)


async def test_a_disk_that_broke_off_is_made_afresh(machines: Machines) -> None:
    env = await machines.founded()
    image = env.paths.below(DISK.path)
    async with running(env), calling(env, env) as node:
        await node.create_disk(ticket(1), WEB1.name, DISK)
        image.write_bytes(b"half an installation")
        await node.create_disk(evolve(ticket(2), redo=True), WEB1.name, DISK)
    assert image.stat().st_size == DISK.size_mib * 2**20
    assert image.read_bytes()[:4] == b"\0\0\0\0"


async def test_a_disk_that_was_met_is_not_undone(machines: Machines) -> None:
    env = await machines.founded()
    async with running(env), calling(env, env) as node:
        await node.create_disk(ticket(1), WEB1.name, DISK)
        met = ticket(2)
        with pytest.raises(StepFailed, match="already exists"):
            await node.create_disk(met, WEB1.name, DISK)
        undo = evolve(met, key=evolve(met.key, undo=True))
        with pytest.raises(NothingToUndo):
            await node.remove_disk(undo, WEB1.name, DISK)
        assert await node.disk_exists(WEB1.name, DISK)


async def test_hooks_run_with_their_environment(machines: Machines) -> None:
    env = await machines.founded()
    folder = env.paths.etc / "hooks/instance-add-pre.d"
    folder.mkdir(parents=True)
    (folder / "10check").write_text("#!/bin/sh\necho for $GANETI_OP_TARGET\n")
    (folder / "10check").chmod(0o755)
    async with running(env), calling(env, env) as node:
        variables = {"GANETI_OP_TARGET": "web1.test"}
        results = await node.run_hooks(ticket(1), "instance-add", "pre", variables)
        expected = HookResult("instance-add-pre.d/10check", "success", "for web1.test")
        assert results == (expected,)


async def test_hooks_that_are_not_there_leave_no_record(machines: Machines) -> None:
    env = await machines.founded()
    folder = env.paths.etc / "hooks/instance-add-pre.d"
    async with running(env), calling(env, env) as node:
        before = (env.paths.data / "node-keys.log").read_bytes()
        assert await node.run_hooks(ticket(1), "instance-add", "pre", {}) == ()
        assert (env.paths.data / "node-keys.log").read_bytes() == before
        folder.mkdir(parents=True)
        (folder / "README").write_text("no program")
        skipped = HookResult("instance-add-pre.d/README", "skip", "")
        assert await node.run_hooks(ticket(1), "instance-add", "pre", {}) == (skipped,)
        with pytest.raises(StepFailed, match="a hooks path is made of letters"):
            await node.run_hooks(ticket(2), "../etc", "pre", {})


async def test_a_second_attempts_hooks_are_heard_of_though_there_are_none(
    machines: Machines,
) -> None:
    env = await machines.founded()
    async with running(env), calling(env, env) as node:
        again = evolve(ticket(1), attempt=Attempt(2))
        assert await node.run_hooks(again, "instance-add", "pre", {}) == ()
    async with running(env), calling(env, env) as node:
        with pytest.raises(StaleAttempt):
            await node.run_hooks(ticket(1), "instance-add", "pre", {})


async def test_a_member_may_ask_and_only_a_candidate_may_change(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        second = await machines.joined(2)
        async with running(second):
            async with calling(second, master) as node:
                assert (await node.version()).node == master.node
                with pytest.raises(Forbidden, match="not that of a master candidate"):
                    await node.delay(ticket(1), 0.0)
            async with calling(master, second) as node:
                await node.delay(ticket(1), 0.0)
                report = await node.verify(Check(peers={master.node: await master.address()}))
                assert report.unreachable_peers == {}
                report = await node.verify(Check(peers={"node9": "127.255.255.253"}))
                assert "can not be reached" in report.unreachable_peers["node9"]


async def test_strangers_stay_out(machines: Machines) -> None:
    env = await machines.founded()
    address = await env.address()
    async with running(env):
        nobody = HttpClient(env.network, address, PORT, introduction_context())
        async with nobody:
            reply = await nobody.request("POST", "/NodeD/version", deadline_seconds=5)
            assert reply.status == 403
            assert b"certificate" in reply.body
        stranger = Machines(machines.folder / "other", machines.subnet)
        other = (await stranger.founded()).paths.data
        authority = (env.paths.data / AUTHORITY_PEM).read_bytes()
        tls = client_context(authority, other / SERVER_PEM)
        async with HttpClient(env.network, address, PORT, tls) as forged:
            # Under TLS 1.3 a client learns only with the first answer that it is not welcome.
            with pytest.raises(ConnectionLost):
                await forged.request("POST", "/NodeD/version", deadline_seconds=5)


async def test_ssconf_only_moves_forward(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        second = await machines.joined(2)
        tags = second.paths.data / "ssconf_cluster_tags"
        async with running(second), calling(master, second) as node:
            await node.store_ssconf(Epoch(1), 3, frozenset(), {"cluster_tags": "b\na"})
            await node.store_ssconf(Epoch(1), 2, frozenset(), {"cluster_tags": "old"})
            assert tags.read_text() == "b\na\n"
            assert stat.S_IMODE(tags.stat().st_mode) == 0o444
            with pytest.raises(StepFailed, match="can not be the name"):
                await node.store_ssconf(Epoch(1), 4, frozenset(), {"../evil": ""})
        async with running(second), calling(master, second) as node:
            await node.store_ssconf(Epoch(1), 2, frozenset(), {"cluster_tags": "old"})
            assert tags.read_text() == "b\na\n"
            await node.store_ssconf(Epoch(2), 1, frozenset(), {"cluster_tags": "of a new reign"})
            assert tags.read_text() == "of a new reign\n"
            with pytest.raises(StaleEpoch):
                await node.store_ssconf(Epoch(1), 9, frozenset(), {"cluster_tags": "old"})


async def test_leaving_takes_the_credentials_and_ends_noded(machines: Machines) -> None:
    master = await machines.founded()
    async with running(master):
        second = await machines.joined(2)
        async with running(second) as ended:
            async with calling(master, second) as node:
                await node.leave_cluster(ticket(1))
            await ended.wait()
            assert list(second.paths.data.iterdir()) == []
        async with calling(master, master) as node:
            with pytest.raises(StepFailed, match="is the master"):
                await node.leave_cluster(ticket(2))
