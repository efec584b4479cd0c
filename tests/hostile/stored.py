"""The doors that are files: what a torn disk, a hand, or another program may have put there."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.hostile.door import BrokenPromise, Door, awaiting, decoding
from tests.hostile.examples import examples
from tests.unit.core.config.small_cluster import SAMPLE, sample_state
from tests.unit.daemons.mond.mond_world import TableInstances

from gantry.core.confd.answers import find_answer
from gantry.core.config.transaction import replay as replay_change
from gantry.core.founding.takeover import TakeoverRefused, check_rules, parse_source
from gantry.core.keys import KeyRecord, StoredBook, apply, restarted, restored
from gantry.core.keys import load_record as load_key_record
from gantry.core.locking.holdings import HoldingsRecord
from gantry.core.locking.holdings import load_record as load_holdings
from gantry.core.locking.holdings import replay as replay_holdings
from gantry.core.queue.fold import replay_archiving
from gantry.core.queue.snapshot import restore
from gantry.core.queue.state import Queue
from gantry.core.ssconf import ssconf_values
from gantry.daemons.electd.node import OwnNode
from gantry.daemons.electd.settings import read_settings
from gantry.daemons.luxid.files import take_over
from gantry.daemons.mond.instance_status import InstanceStatus
from gantry.daemons.mond.node_instances import AskedInstances
from gantry.daemons.mond.replication import Replication
from gantry.daemons.noded.access import Access
from gantry.daemons.noded.cluster_files import ClusterFiles
from gantry.daemons.noded.joining import TOKENS, JoinService
from gantry.daemons.noded.master_address import FILE as MASTER_ADDRESS
from gantry.daemons.noded.master_address import ClusterAddress
from gantry.daemons.rapid import main as rapid
from gantry.daemons.rconfd.replica import _offset_in, _parsed
from gantry.daemons.wconfd.config_saver import read_saved
from gantry.drivers.hypervisor.fake import FakeHypervisor, FakeInstance
from gantry.drivers.hypervisor.kvm.machines import Machines
from gantry.drivers.hypervisor.kvm.probe import MachineFacts, Prober
from gantry.drivers.hypervisor.kvm.record import KvmFiles, KvmRecord
from gantry.drivers.network.taps import Taps
from gantry.drivers.scripts.hooks import Hooks
from gantry.drivers.storage.files import FileStorage
from gantry.protocols.codec import Malformed, dump, from_bytes, load, to_bytes
from gantry.protocols.config_records import ConfigRecord
from gantry.protocols.config_records import load_record as load_config_record
from gantry.protocols.identity import ClusterUuid, Epoch, NodeUuid
from gantry.protocols.jobs import dump_job, load_job
from gantry.protocols.noded import MasterAddress
from gantry.protocols.queue_records import QueueRecord, QueueSnapshot
from gantry.protocols.queue_records import dump_record as dump_queue_record
from gantry.protocols.queue_records import load_record as load_queue_record
from gantry.protocols.rconfd import DetailedQuery, RequestType
from gantry.protocols.records import (
    ORIGIN,
    CorruptRecord,
    Index,
    decode_lines,
    decode_log,
    encode_records,
    first_line,
)
from gantry.protocols.runtime_types import DriverFailed
from gantry.protocols.steps import StepRecord
from gantry.protocols.steps import dump_record as dump_step
from gantry.protocols.steps import load_record as load_step
from gantry.runtime.allegiance import FILE as ALLEGIANCE
from gantry.runtime.allegiance import Allegiance, read_allegiance
from gantry.runtime.commit_mark import read_mark
from gantry.runtime.confd_client import known_candidates
from gantry.runtime.daemon import StartRefused
from gantry.runtime.environment import Environment
from gantry.runtime.membership import own_certificate
from gantry.runtime.newest_configuration import read_newest
from gantry.runtime.replicated_log import SoloSince
from gantry.runtime.testing.environment import memory_environment
from gantry.runtime.testing.files import MemoryFiles
from gantry.security.authority import (
    BadSigningRequest,
    Credential,
    NodeSubject,
    new_authority,
    new_signing_request,
    sign_request,
)
from gantry.security.certificates import BadCertificate, Certificate
from gantry.security.join_token import BadToken, JoinToken, TokenStore
from gantry.security.pem_files import SERVER_PEM
from gantry.security.rapi_users import parse_basic, parse_users

NODE: Final = "node1.gnt.test"
QUEUE_SAMPLES: Final = SAMPLE.parent / "queue"
SSCONF_SAMPLES: Final = SAMPLE.parent / "ssconf"


def file_door(
    name: str,
    drives: Iterable[str],
    places: Callable[[Environment], Iterable[Path]],
    read: Callable[[Environment], Awaitable[object]],
    declared: tuple[type[Exception], ...],
    seeds: Callable[[], Iterable[bytes]],
) -> Door:
    """Return the door of a file: the same bytes are put in all of its places, and it is read."""

    async def take(data: bytes) -> None:
        files = MemoryFiles()
        env = memory_environment(NODE, files)
        paths = list(places(env))
        for path in paths:
            files.put_folder(path.parent)
            files.put(path, data)
        await read(env)
        for path in paths:
            if await files.read(path) != data:
                raise BrokenPromise(f"{path} was changed")

    return Door(name, tuple(drives), awaiting(take, *declared), seeds)


# --- logs and their records ----------------------------------------------------------------------


def _logs() -> Iterator[bytes]:
    for payloads in ([], [{"a": 1}], [{"a": 1}, [2], "three", None]):
        lines, _ = encode_records(ORIGIN, Epoch(1), payloads)
        yield first_line(ORIGIN) + lines
        yield first_line(ORIGIN) + lines[:-3]
        yield first_line(ORIGIN) + lines + bytes(20)


def _read_log(data: bytes) -> None:
    log = decode_log(data)
    if log.valid_bytes + log.torn_bytes != len(data):
        raise BrokenPromise("bytes of the log are not accounted for")
    _offset_in(data, ORIGIN)


def _read_part_of_log(data: bytes) -> None:
    _, length = decode_lines(data, ORIGIN, Index(2**62))
    if length > len(data):
        raise BrokenPromise("more was read than there is")


def _lines(data: bytes) -> list[Any]:
    return [from_bytes(line) for line in data.split(b"\n") if line]


def _payloads(*values: object) -> bytes:
    return b"\n".join(map(to_bytes, values))


def _follow_configuration(data: bytes) -> None:
    state = sample_state()
    for payload in _lines(data):
        state = replay_change(state, Epoch(1), load_config_record(payload))


def _follow_queue(data: bytes) -> None:
    records = [load_queue_record(payload) for payload in _lines(data)]
    replay_archiving(records, Queue())


def _restore_queue(data: bytes) -> None:
    restore(load(QueueSnapshot, from_bytes(data)))


def _follow_holdings(data: bytes) -> None:
    replay_holdings([load_holdings(payload) for payload in _lines(data)])


def _follow_keys(data: bytes) -> None:
    first, *rest = _lines(data) or [None]
    book = restored(load(StoredBook, first))
    for payload in rest:
        book = apply(book, load_key_record(payload))
    restarted(book)


def _follow_steps(data: bytes) -> None:
    for payload in _lines(data):
        load_step(payload)


# --- the configuration ---------------------------------------------------------------------------


def _configurations() -> Iterator[bytes]:
    yield SAMPLE.read_bytes()


def _answer_from(data: bytes) -> None:
    """Make RConfD's answers of a configuration, to every kind of question."""
    book, _ = _parsed(data)
    for kind in RequestType:
        for query in (None, "inst1.gnt.test", "/cluster", NODE, DetailedQuery(ip="192.0.2.1")):
            find_answer(book.view, kind, query)


def _take_over(data: bytes) -> None:
    configuration = parse_source(data, "config.data")
    check_rules(configuration)
    ssconf_values(configuration)


# --- secrets -------------------------------------------------------------------------------------


def _pem(kind: str, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        kind.encode(),
        base64.encodebytes(der),
        kind.encode(),
    )


def _random(count: int) -> bytes:
    return bytes(range(1, count + 1))


def _der(pem: bytes) -> bytes:
    lines = pem.split(b"-----BEGIN ")[1].splitlines()[1:]
    return base64.decodebytes(b"".join(line for line in lines if not line.startswith(b"-----")))


def _authority() -> Credential:
    return new_authority(ClusterUuid("8974f296-e09f-4eae-b331-2cbeead5f3e7"), 1.7e9, _random)


def _sign(data: bytes) -> None:
    subject = NodeSubject(NodeUuid("u"), "n", "127.0.0.1")
    sign_request(_authority(), _pem("CERTIFICATE REQUEST", data), subject, 1.7e9, _random)


def _look_at_certificate(data: bytes) -> None:
    with contextlib.suppress(BadCertificate):
        Certificate.of_der(data)
    with contextlib.suppress(BadCertificate):
        Certificate.of_pem(data)
    Certificate.of_pem(_pem("CERTIFICATE", data))


def _let_in(data: bytes) -> None:
    users = parse_users(data)
    given = parse_basic(data[:200].decode("latin-1"))
    if given is not None and users.authenticated(*given):
        raise BrokenPromise(f"{given} was let in")


def _user_files() -> Iterator[bytes]:
    yield b"# comment\nadmin secret write\nreader {cleartext}look read\nh {HA1}" + b"0" * 32
    yield b"Basic YWRtaW46c2VjcmV0"


def _join_tokens() -> Iterator[bytes]:
    for token in examples(JoinToken):
        yield token.to_text().encode()


# --- what a node keeps ---------------------------------------------------------------------------

SSCONF_KEYS: Final = (
    "cluster_name",
    "master_node",
    "master_candidates",
    "master_candidates_certs",
    "master_candidates_ips",
    "hypervisor_list",
)


async def _read_ssconf(env: Environment) -> None:
    await Access(_own()).refresh(env.files, env.paths)
    own, files = OwnNode(env), ClusterFiles(env)
    await own.is_master()
    await own.is_candidate()
    await own.cluster_name()
    for key in SSCONF_KEYS:
        await files.ssconf(key)
    await known_candidates(env)
    await AskedInstances(env)._hypervisors()
    await Replication(env)._is_master()
    await rapid._cluster_address(env)
    await JoinService(env, 1, lambda: Epoch(1))._ssconf()


def _own() -> Certificate:
    return Certificate.of_pem(_authority().certificate_pem)


def _ssconf() -> Iterator[bytes]:
    for path in sorted(SSCONF_SAMPLES.iterdir()):
        yield path.read_bytes()


async def _join_service(env: Environment) -> None:
    service = JoinService(env, 1, lambda: Epoch(1))
    await service._uuid(NODE)
    await service._tokens()


async def _let_go(env: Environment) -> None:
    """Read what the address was, and come no further than to the hooks, which a test has not."""
    address = ClusterAddress(env, Hooks(env))
    await address.let_go()


def _read_job(data: bytes) -> None:
    job = load_job(data)
    if load_job(dump_job(job)) != job:
        raise BrokenPromise(f"job {job.id} is stored as another")


async def _recall_solo(env: Environment) -> None:
    load(SoloSince, from_bytes(await env.files.read(env.paths.data / "solo-config.json")))


def _jobs() -> Iterator[bytes]:
    for path in sorted(QUEUE_SAMPLES.glob("job-*")):
        yield path.read_bytes()


def _dumped(*hints: Any) -> Callable[[], Iterator[bytes]]:  # noqa: ANN401 - a hint is any type form
    def dumped() -> Iterator[bytes]:
        for hint in hints:
            for each in examples(hint):
                yield to_bytes(dump(each))

    return dumped


DOORS: Final = (
    Door(
        "log",
        ("protocols.records", "runtime.journal", "runtime.replica_log"),
        decoding(_read_log, CorruptRecord),
        _logs,
        (b"gantry-log 1 ", b"9" * 5000, b"0" * 32),
    ),
    Door(
        "log-part",
        ("protocols.records",),
        decoding(_read_part_of_log, CorruptRecord),
        lambda: [log.partition(b"\n")[2] for log in _logs()],
        (b"9" * 5000, b"0" * 32),
    ),
    Door(
        "config-records",
        ("daemons.wconfd.config_store", "core.config.transaction"),
        decoding(_follow_configuration, Malformed),
        lambda: [_payloads(dump(each)) for each in examples(ConfigRecord, 20)],
    ),
    Door(
        "queue-records",
        ("daemons.luxid.store", "core.queue.fold"),
        decoding(_follow_queue, Malformed),
        lambda: [
            _payloads(*map(dump_queue_record, examples(QueueRecord, 30)[i:])) for i in range(9)
        ],
    ),
    Door(
        "queue-snapshot",
        ("daemons.luxid.store",),
        decoding(_restore_queue, Malformed),
        _dumped(QueueSnapshot),
    ),
    Door(
        "lock-records",
        ("daemons.wconfd.lock_store",),
        decoding(_follow_holdings, Malformed),
        lambda: [_payloads(*map(dump, examples(HoldingsRecord, 9)[i:])) for i in range(3)],
    ),
    Door(
        "key-records",
        ("daemons.noded.key_journal",),
        decoding(_follow_keys, Malformed),
        lambda: [
            _payloads(dump(book), *(dump(each, KeyRecord) for each in examples(KeyRecord, 20)))
            for book in examples(StoredBook)
        ],
    ),
    Door(
        "step-records",
        ("daemons.job.step_journal",),
        decoding(_follow_steps, Malformed),
        lambda: [_payloads(*map(dump_step, examples(StepRecord, 20)))],
    ),
    file_door(
        "config.data",
        ("daemons.wconfd.config_saver",),
        lambda env: [env.paths.config],
        read_saved,
        (StartRefused,),
        _configurations,
    ),
    file_door(
        "config.data-newest",
        ("runtime.newest_configuration",),
        lambda env: [env.paths.config],
        read_newest,
        (Malformed,),
        _configurations,
    ),
    Door(
        "config.data-answers",
        ("daemons.rconfd.replica", "core.confd.view", "core.confd.answers"),
        decoding(_answer_from, Malformed),
        _configurations,
    ),
    Door(
        "config.data-takeover",
        ("core.founding.takeover",),
        decoding(_take_over, TakeoverRefused),
        _configurations,
    ),
    Door("job-file", ("protocols.jobs",), decoding(_read_job, Malformed), _jobs),
    file_door(
        "queue-folder",
        ("daemons.luxid.files",),
        lambda env: [env.paths.queue / name for name in ("job-7", "serial", "version")],
        take_over,
        (),
        _jobs,
    ),
    file_door(
        "ssconf",
        (
            "daemons.electd.node",
            "daemons.noded.access",
            "daemons.noded.cluster_files",
            "daemons.mond.node_instances",
            "daemons.mond.replication",
            "daemons.rapid.main",
            "runtime.confd_client",
        ),
        lambda env: [env.paths.data / f"ssconf_{key}" for key in SSCONF_KEYS],
        _read_ssconf,
        (),
        _ssconf,
    ),
    file_door(
        "allegiance",
        ("runtime.allegiance",),
        lambda env: [env.paths.data / ALLEGIANCE],
        lambda env: read_allegiance(env.files, env.paths),
        (Malformed,),
        _dumped(Allegiance),
    ),
    file_door(
        "commit-mark",
        ("runtime.commit_mark",),
        lambda env: [env.paths.data / "mark"],
        lambda env: read_mark(env.files, env.paths.data / "mark"),
        (),
        lambda: [b"%b %b %b %b\n" % (b"a" * 16, b"0" * 20, b"9" * 20, b"f" * 32)],
    ),
    file_door(
        "join-tokens",
        ("daemons.noded.joining",),
        lambda env: [env.paths.data / TOKENS, env.paths.config],
        _join_service,
        (Malformed,),
        _dumped(TokenStore),
    ),
    file_door(
        "election.json",
        ("daemons.electd.settings",),
        lambda env: [env.paths.etc / "election.json"],
        read_settings,
        (StartRefused,),
        lambda: [
            b'{"endpoints": ["http://192.0.2.1:2379", "https://e:1"], "lease_seconds": 15,'
            b' "authority": "/a", "certificate": "/b"}'
        ],
    ),
    file_door(
        "kvm-record",
        ("drivers.hypervisor.kvm.record", "drivers.hypervisor.kvm.machines"),
        lambda env: [KvmFiles(env).record("i"), KvmFiles(env).pid_file("i")],
        lambda env: Machines(env, KvmFiles(env), Taps(env)).find("i"),
        (DriverFailed,),
        lambda: [*_dumped(KvmRecord)(), b"123\n"],
    ),
    file_door(
        "kvm-probe",
        ("drivers.hypervisor.kvm.probe",),
        lambda env: [Prober(env)._cache],
        lambda env: Prober(env)._remembered(),
        (),
        _dumped(MachineFacts),
    ),
    file_door(
        "fake-instance",
        ("drivers.hypervisor.fake",),
        lambda env: [FakeHypervisor(env)._file("i")],
        lambda env: FakeHypervisor(env)._load("i"),
        (DriverFailed,),
        _dumped(FakeInstance),
    ),
    file_door(
        "storage-paths",
        ("drivers.storage.files",),
        lambda env: [env.paths.etc / "file-storage-paths"],
        lambda env: FileStorage.of(env, "file"),
        (),
        lambda: [b"# where\n/srv/a\n\n/srv/b # b\n"],
    ),
    file_door(
        "reasons",
        ("daemons.mond.instance_status",),
        lambda env: [env.paths.run / "instance-reason" / "i"],
        lambda env: InstanceStatus(env, TableInstances())._reason("i"),
        (),
        lambda: [b'[["gnt:client:gnt-instance","",1700000000000000000]]'],
    ),
    file_door(
        "node-certificate",
        ("runtime.membership",),
        lambda env: [env.paths.data / SERVER_PEM],
        own_certificate,
        (BadCertificate,),
        lambda: [_authority().certificate_pem],
    ),
    file_door(
        "master-address",
        ("daemons.noded.master_address",),
        lambda env: [env.paths.data / MASTER_ADDRESS],
        _let_go,
        (),
        _dumped(MasterAddress),
    ),
    file_door(
        "solo",
        ("runtime.replicated_log",),
        lambda env: [env.paths.data / "solo-config.json"],
        _recall_solo,
        (Malformed,),
        _dumped(SoloSince),
    ),
    Door("rapi-users", ("daemons.rapid.access",), decoding(_let_in), _user_files),
    Door(
        "join-token",
        ("security.join_token",),
        decoding(lambda data: JoinToken.from_text(data.decode("latin-1")), BadToken),
        _join_tokens,
    ),
    Door(
        "signing-request",
        ("security.authority",),
        decoding(_sign, BadSigningRequest),
        lambda: [_der(new_signing_request("n", _random).request_pem)],
    ),
    Door(
        "certificate",
        ("security.certificates",),
        decoding(_look_at_certificate, BadCertificate),
        lambda: [_der(_authority().certificate_pem)],
    ),
)
