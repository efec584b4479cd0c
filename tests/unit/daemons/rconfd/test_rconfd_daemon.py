"""The daemon on a real socket: it follows its files, and it is silent without them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
import trio
from attrs import define, field
from typing_extensions import override

from gantry.daemons.rconfd.main import Server, main
from gantry.daemons.rconfd.replica import Replica
from gantry.protocols.rconfd import (
    Envelope,
    Request,
    RequestType,
    parse_envelope,
    parse_reply,
    render_envelope,
    render_request,
)
from gantry.runtime.confd_client import ConfdClient, NoAnswer
from gantry.runtime.environment import DatagramSocket, Environment, Options, Readiness
from gantry.runtime.network import RealNetwork
from gantry.runtime.real import real_environment
from gantry.runtime.testing.files import MemoryFiles
from gantry.security.hmac_key import sign

CONFIG = (Path(__file__).parents[3] / "facts" / "samples" / "config.data").read_bytes()
KEY = b"secret\n"


@define
class Ready(Readiness):
    """Hears when the daemon is ready."""

    heard: trio.Event = field(factory=trio.Event)

    @override
    def notify(self, state: str) -> None:
        if state == "READY=1":
            self.heard.set()


class NotingNetwork(RealNetwork):
    """Remembers the sockets: the first one is the daemon's."""

    bound: ClassVar[list[DatagramSocket]] = []

    @override
    async def udp(self, address: str, port: int) -> DatagramSocket:
        bound = await super().udp(address, port)
        self.bound.append(bound)
        return bound


def with_serial(serial: int) -> bytes:
    document = json.loads(CONFIG)
    document["cluster"]["serial_no"] = serial
    return json.dumps(document).encode()


def environment(root: Path, files: MemoryFiles) -> tuple[Environment, Ready]:
    env = real_environment({"GANTRY_ROOT": str(root)}, Options(bind="127.0.0.1", port=0))
    ready = Ready()
    network = NotingNetwork(root / "etc/hosts", "localhost")
    return attrs.evolve(env, files=files, readiness=ready, network=network), ready


def ping(env: Environment, rsalt: str) -> bytes:
    msg = render_request(Request(RequestType.CLUSTER_MASTER, None, rsalt))
    salt = str(int(env.clock.now()))
    return render_envelope(Envelope(msg, salt, sign(KEY, salt, msg)))


async def test_a_client_is_answered_and_changes_are_followed(tmp_path: Path) -> None:
    files = MemoryFiles()
    env, ready = environment(tmp_path, files)
    files.put(env.paths.config, with_serial(5))
    files.put(env.paths.data / "hmac.key", KEY)
    NotingNetwork.bound.clear()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(main, env)
            await ready.heard.wait()
            client = ConfdClient(env, KEY, NotingNetwork.bound[0].port())

            answer = await client.ask(["127.0.0.1"], RequestType.CLUSTER_MASTER)
            assert answer.reply.answer == "node1.gnt.test"
            assert (answer.reply.serial, answer.answered, answer.consistent) == (5, 1, True)

            stranger = ConfdClient(env, b"other", client.port)
            with pytest.raises(NoAnswer, match="none of 1"):
                await stranger.ask(["127.0.0.1"], RequestType.PING, expiry_seconds=0.05)

            files.put(env.paths.config, with_serial(6))
            while answer.reply.serial == 5:
                answer = await client.ask(["127.0.0.1"], RequestType.CLUSTER_MASTER)
            assert answer.reply.serial == 6
            nursery.cancel_scope.cancel()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    env, _ = environment(tmp_path, MemoryFiles())
    socket = await env.network.udp("127.0.0.1", 0)
    yield Server(env, Replica(env), socket)
    socket.close()


def answered(server: Server, datagram: bytes) -> bytes | None:
    pieces = server.answer(datagram, server.env.clock.now())
    return None if pieces is None else b"".join(pieces)


def put(server: Server, **files: bytes) -> None:
    memory = server.env.files
    assert isinstance(memory, MemoryFiles)
    names = {"config": server.env.paths.config, "key": server.env.paths.data / "hmac.key"}
    for name, data in files.items():
        memory.put(names[name], data)


async def test_without_replica_or_key_there_is_silence(server: Server) -> None:
    await server.replica.reload()
    assert answered(server, ping(server.env, "1")) is None

    put(server, key=KEY)
    await server.replica.reload()
    assert answered(server, ping(server.env, "2")) is None

    put(server, config=with_serial(5))
    await server.replica.reload()
    answer = answered(server, ping(server.env, "3"))
    assert answer is not None
    assert parse_reply(parse_envelope(answer).msg).serial == 5

    await server.env.files.remove(server.env.paths.config)
    await server.replica.reload()
    assert answered(server, ping(server.env, "4")) is None


async def test_a_torn_configuration_leaves_the_older_one(server: Server) -> None:
    put(server, config=with_serial(5), key=KEY)
    await server.replica.reload()

    put(server, config=b"{ torn")
    await server.replica.reload()

    assert answered(server, ping(server.env, "1")) is not None


async def test_a_new_key_counts_at_once(server: Server) -> None:
    put(server, config=with_serial(5), key=b"older")
    await server.replica.reload()
    assert answered(server, ping(server.env, "1")) is None
    assert server.dropped == {"forged": 1}

    put(server, key=KEY)
    await server.replica.reload()

    assert answered(server, ping(server.env, "1")) is not None
