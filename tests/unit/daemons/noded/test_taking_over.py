"""Taking over a cluster that Ganeti has left, on real files; its other nodes join by token."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve
from tests.unit.core.founding.ganeti_source import leave_ganeti, source_value
from tests.unit.daemons.noded.conftest import Machines, calling, running

from gantry.core.config.export import exported
from gantry.core.founding.takeover import TakeoverRefused
from gantry.core.ssconf import parse_candidate_certs
from gantry.protocols.noded import PORT
from gantry.runtime import takeover as module
from gantry.runtime.environment import Environment
from gantry.runtime.joining import issue_token, join_cluster
from gantry.runtime.replacing import Replacing
from gantry.runtime.takeover import look, take_over
from gantry.security.certificates import Certificate


def left_by_ganeti(machines: Machines) -> tuple[Environment, dict[str, Any]]:
    env = machines.machine(1)
    return env, leave_ganeti(env.paths.data, machines.subnet)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def written(env: Environment) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(env.paths.config.read_text())
    return value


async def test_what_would_be_done_is_said_and_nothing_is_done(machines: Machines) -> None:
    env, _ = left_by_ganeti(machines)
    queue = env.paths.data / "queue"
    job = json.loads((queue / "job-408").read_text())
    job["id"], job["ops"][0]["status"] = 421, "queued"
    (queue / "job-421").write_text(json.dumps(job))
    (queue / "job-420").write_text("no job")
    before = content(env.paths.data)
    found = await look(env, env.paths.config)
    text = "\n".join(found.lines(env.paths.data))
    assert "cluster.gantry.test (version 3000000): 3 nodes, 3 instances." in text
    assert "kept as they are: hmac.key, rapi/users, queue" in text
    assert "made anew: rapi.pem, cluster-domain-secret, gantry-ca.pem, gantry-ca.key" in text
    assert "replaced: config.data, server.pem, client.pem, locks.data, ssconf_*" in text
    names = "node1.gantry.test, node2.gantry.test, node3.gantry.test"
    assert f"New certificates are issued for: {names}" in text
    assert "WARNING: 2 instances should be running" in text
    assert "WARNING: jobs that are not over: 421. LuxiD will run those that are queued" in text
    assert content(env.paths.data) == before


async def test_a_cluster_is_taken_over_in_place(machines: Machines) -> None:
    env, source = left_by_ganeti(machines)
    data = env.paths.data
    before = content(data)
    await take_over(env, env.paths.config)

    after = content(data)
    for name in ("hmac.key", "rapi/users", "queue/serial", "queue/archive/0/job-7"):
        assert after[name] == before[name]
    aside = content(data / "before-gantry")
    replaced = ("config.data", "server.pem", "client.pem", "locks.data", "ssconf_cluster_name")
    assert {name: aside[name] for name in replaced} == {name: before[name] for name in replaced}
    assert exported(written(env)) == source
    certificate = Certificate.of_pem(after["server.pem"])
    me = source["cluster"]["master_node"]
    assert certificate.common_name == me
    assert written(env)["cluster"]["candidate_certs"][me] == certificate.sha1
    assert after["ssconf_cluster_name"] == b"cluster.gantry.test\n"
    assert stat.S_IMODE((data / "gantry-ca.key").stat().st_mode) == 0o400
    with pytest.raises(TakeoverRefused, match="is a node of a cluster already"):
        await take_over(env, env.paths.config)


async def test_a_cluster_is_taken_over_from_another_folder(
    machines: Machines, tmp_path: Path
) -> None:
    source = leave_ganeti(tmp_path / "saved", machines.subnet, 3_010_000)
    env = machines.machine(1)
    await take_over(env, tmp_path / "saved/config.data")
    after, saved = content(env.paths.data), content(tmp_path / "saved")
    for name in ("hmac.key", "rapi/users", "queue/serial", "queue/archive/0/job-7"):
        assert after[name] == saved[name]
    assert exported(written(env)) == source
    assert not (env.paths.data / "before-gantry").exists()


async def test_a_write_that_fails_leaves_all_as_it_was(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, _ = left_by_ganeti(machines)
    before = content(env.paths.data)

    async def full(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_files", full)
    with pytest.raises(OSError, match="No space left"):
        await take_over(env, env.paths.config)
    assert content(env.paths.data) == before


async def test_a_takeover_that_was_killed_is_told_of(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, _ = left_by_ganeti(machines)
    before = content(env.paths.data)
    write = Replacing.write

    async def killed(self: Replacing, path: Path, data: bytes, mode: int) -> None:
        if path.name == "gantry-ca.pem":
            raise KeyboardInterrupt
        await write(self, path, data, mode)

    async def nothing(_: Replacing) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Replacing, "write", killed)
    monkeypatch.setattr(Replacing, "undo", nothing)
    with pytest.raises(KeyboardInterrupt):
        await take_over(env, env.paths.config)
    monkeypatch.undo()
    with pytest.raises(TakeoverRefused, match="an earlier takeover that was not finished"):
        await take_over(env, env.paths.config)
    aside = content(env.paths.data / "before-gantry")
    assert {name: before[name] for name in aside} == aside


async def test_the_other_nodes_join_with_the_certificates_that_are_listed(
    machines: Machines,
) -> None:
    master, source = left_by_ganeti(machines)
    await take_over(master, master.paths.config)
    second = machines.machine(2)
    second.paths.data.mkdir(parents=True)
    (second.paths.data / "server.pem").write_text("Ganeti's own\n")
    (second.paths.data / "config.data").write_text(json.dumps(source))
    async with running(master):
        invitation = await issue_token(master, second.node, 60.0)
        joined = await join_cluster(second, invitation.text, None)
        assert joined.known
        own = Certificate.of_pem((second.paths.data / "server.pem").read_bytes())
        listed = parse_candidate_certs(
            (second.paths.data / "ssconf_master_candidates_certs").read_text()
        )
        assert listed[own.common_name] == own.sha1
        assert written(master)["cluster"]["candidate_certs"] == listed
        assert source["nodes"][own.common_name]["name"] == second.node
        assert not second.paths.config.exists()
        aside = second.paths.data / "before-gantry"
        assert json.loads((aside / "config.data").read_text()) == source
        async with running(second), calling(master, second) as node:
            assert (await node.version()).certificate_digest == own.sha1


async def test_a_machine_that_still_works_for_ganeti_is_left_alone(machines: Machines) -> None:
    env, _ = left_by_ganeti(machines)
    async with trio.open_nursery() as nursery:
        listener = await env.network.listen_tcp(await env.address(), PORT)
        nursery.start_soon(trio.serve_listeners, lambda stream: stream.aclose(), [listener])
        with pytest.raises(TakeoverRefused, match=f"listens on port {PORT}; stop Ganeti on all"):
            await look(env, env.paths.config)
        nursery.cancel_scope.cancel()
    socket = env.paths.socket("wconfd")
    socket.parent.mkdir(parents=True, exist_ok=True)
    async with trio.open_nursery() as nursery:
        listener = await env.network.listen_unix(socket, 0o600)
        nursery.start_soon(trio.serve_listeners, lambda stream: stream.aclose(), [listener])
        with pytest.raises(TakeoverRefused, match="wconfd; stop Ganeti on all nodes first"):
            await look(env, env.paths.config)
        nursery.cancel_scope.cancel()
    socket.unlink()
    socket.parent.rmdir()


async def test_refusals_name_what_is_wrong(machines: Machines, tmp_path: Path) -> None:
    env, _ = left_by_ganeti(machines)
    with pytest.raises(TakeoverRefused, match="there is no file /nowhere"):
        await look(env, Path("/nowhere"))
    with pytest.raises(TakeoverRefused, match="there is no file"):
        await look(env, tmp_path)
    other = evolve(env, node="node2.gantry.test")
    with pytest.raises(TakeoverRefused, match="take it over on node1"):
        await look(other, env.paths.config)
    value = source_value(machines.subnet)
    value["nodes"][value["cluster"]["master_node"]]["primary_ip"] = "10.0.0.1"
    env.paths.config.write_text(json.dumps(value))
    with pytest.raises(TakeoverRefused, match=r"configuration says 10\.0\.0\.1 of node1"):
        await look(env, env.paths.config)
    (env.paths.data / "before-gantry").mkdir()
    with pytest.raises(TakeoverRefused, match="an earlier takeover that was not finished"):
        await look(env, env.paths.config)
