"""``gantry takeover``: make the master of a Ganeti cluster the master of the same cluster here.

Everything is checked before anything is written; what is replaced is kept aside, and put back if
a later write fails. The authority's certificate is written last: with it the machine is a node.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from gantry.core.founding.takeover import (
    TakeoverRefused,
    check_master,
    check_rules,
    parse_source,
    taken_over,
    told,
)
from gantry.core.ssconf import FILE_PREFIX, ssconf_values
from gantry.protocols import luxi, wconfd
from gantry.protocols.codec import Malformed, to_bytes
from gantry.protocols.identity import NodeUuid
from gantry.protocols.jobs import load_job
from gantry.protocols.noded import PORT
from gantry.protocols.objects.configuration import Configuration, dump_configuration
from gantry.protocols.objects.node import Node
from gantry.protocols.wconfd import Invariant
from gantry.runtime.environment import Environment
from gantry.runtime.founding import (
    CONFIG_MODE,
    DOMAIN_SECRET_BYTES,
    FIRST_SERIAL,
    QUEUE_FOLDER_MODE,
    QUEUE_MODE,
    QUEUE_VERSION,
    RAPI_USERS_TEXT,
    SSCONF_MODE,
)
from gantry.runtime.membership import CREDENTIALS_FOLDER, DOMAIN_SECRET, is_member
from gantry.runtime.replacing import ASIDE, Replacing
from gantry.security.authority import (
    Credential,
    NodeSubject,
    issue_node_credential,
    new_authority,
    new_rapi_credential,
)
from gantry.security.certificates import Certificate
from gantry.security.hmac_key import new_hmac_key
from gantry.security.pem_files import (
    AUTHORITY_KEY,
    AUTHORITY_PEM,
    CLIENT_PEM,
    HMAC_KEY,
    KEY_MODE,
    RAPI_PEM,
    RAPI_USERS,
    SERVER_PEM,
    SHARED_KEY_MODE,
    SecurityFile,
    node_files,
    write_files,
)

ANSWER_SECONDS_MAX: Final = 3.0
"""For a daemon of this machine to take a connection."""

KEPT: Final = (HMAC_KEY, RAPI_USERS, RAPI_PEM, DOMAIN_SECRET)
"""Files that stay as they are, if the source has them; made anew if not."""

REPLACED: Final = ("config.data", SERVER_PEM, CLIENT_PEM, "locks.data", "tempres.data")


@frozen
class Takeover:
    """What would be done."""

    configuration: Configuration
    source: Path
    """The folder that the configuration is in, beside Ganeti's other files."""
    in_place: bool
    kept: tuple[str, ...]
    made: tuple[str, ...]
    replaced: tuple[str, ...]
    broken: tuple[Invariant, ...]
    unfinished: tuple[int, ...]
    """Jobs that are queued, or were at work."""

    def lines(self, data: Path) -> list[str]:
        """Say for people what would be done."""
        configuration = self.configuration
        names = sorted(node.name for node in configuration.nodes.values())
        lines = [
            f"The cluster {configuration.cluster.cluster_name} (version {configuration.version}): "
            f"{len(names)} nodes, {len(configuration.instances)} instances.",
            f"In {data}:",
            f"  kept as they are: {', '.join(self.kept) or 'nothing'}",
            f"  made anew: {', '.join((*self.made, AUTHORITY_PEM, AUTHORITY_KEY))}",
            f"  replaced: {', '.join((*self.replaced, 'ssconf_*'))}",
            f"  what is replaced is kept in {ASIDE}/",
            f"New certificates are issued for: {', '.join(names)}",
        ]
        up = sorted(i.name for i in configuration.instances.values() if i.admin_state == "up")
        if up:
            lines += [
                f"WARNING: {len(up)} instances should be running. Guests that Ganeti has started "
                "are not seen from here:",
                "  make sure that they are stopped before the daemons of their nodes start.",
            ]
        if self.unfinished:
            jobs = ", ".join(map(str, self.unfinished))
            lines += [
                f"WARNING: jobs that are not over: {jobs}. LuxiD will run those that are queued;",
                "  those that were at work will end in error, and what they had done stays.",
            ]
        if self.broken:
            lines += ["WARNING: rules that the configuration breaks:", *told(self.broken)]
        return lines


async def look(env: Environment, path: Path) -> Takeover:
    """Check whether a cluster can be taken over, and say what would be done.

    Args:
        env: the machine.
        path: Ganeti's ``config.data``, from the root of the file system on.

    Raises:
        TakeoverRefused: it can not; the text says why.
        OSError: the file can not be read.
    """
    data = env.paths.data
    await _check_machine(env)
    try:
        configuration = parse_source(await env.files.read(path), str(path))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise TakeoverRefused(f"there is no file {path}") from error
    check_master(configuration, env.node, await env.address())
    broken = check_rules(configuration)
    await _check_nobody_works(env)
    source = path.parent
    there = [name for name in KEPT if await env.files.exists(source / name)]
    return Takeover(
        configuration,
        source,
        source == data,
        kept=(*there, *(["queue"] if await env.files.exists(source / "queue") else [])),
        made=tuple(name for name in KEPT if name not in there),
        replaced=tuple([name for name in REPLACED if await env.files.exists(data / name)]),
        broken=broken,
        unfinished=tuple([job async for job in _unfinished(env, source / "queue")]),
    )


async def _unfinished(env: Environment, queue: Path) -> AsyncIterator[int]:
    """Return the jobs that are not over; what is no job file is LuxiD's to tell of."""
    for name in await env.files.list(queue):
        if name.startswith("job-"):
            with contextlib.suppress(Malformed, OSError):
                job = load_job(await env.files.read(queue / name))
                if not job.is_final:
                    yield job.id


async def _check_machine(env: Environment) -> None:
    data = env.paths.data
    if await is_member(env):
        raise TakeoverRefused(
            f"{env.node} is a node of a cluster already (see {data}); "
            "destroy or leave that one first"
        )
    if await env.files.exists(data / ASIDE):
        raise TakeoverRefused(
            f"{data / ASIDE} holds files of an earlier takeover that was not finished; put them "
            f"back in their places in {data}, remove the folder, and try again"
        )


async def _check_nobody_works(env: Environment) -> None:
    """Make sure that no daemons of the cluster run here: two would change the same things."""
    ganetis = [env.paths.run / link for link in (luxi.GANETI_LINK, wconfd.GANETI_LINK)]
    ours = [env.paths.socket(name) for name in (luxi.SOCKET_NAME, wconfd.SOCKET_NAME)]
    for path in (*ganetis, *ours):
        with trio.move_on_after(ANSWER_SECONDS_MAX):
            try:
                stream = await env.network.connect_unix(path)
            except OSError:
                continue
            await stream.aclose()
        raise TakeoverRefused(f"a daemon listens on {path}; stop Ganeti on all nodes first")
    port = int(env.variables.get("GANTRY_NODED_PORT", PORT))
    with trio.move_on_after(ANSWER_SECONDS_MAX):
        try:
            stream = await env.network.connect_tcp(await env.address(), port)
        except OSError:
            return
        await stream.aclose()
    raise TakeoverRefused(f"a node daemon listens on port {port}; stop Ganeti on all nodes first")


async def take_over(env: Environment, path: Path) -> Takeover:
    """Take a cluster over. No daemon is started.

    Raises:
        TakeoverRefused: it can not be; nothing was changed.
        OSError: a file could not be written; everything is put back.
    """
    found = await look(env, path)
    replacing = Replacing(env.files, env.paths.data)
    try:
        await _write(env, found, replacing)
    except BaseException:
        with trio.CancelScope(shield=True):  # some small files
            await replacing.undo()
            await env.files.remove_tree(env.paths.data / CREDENTIALS_FOLDER)
        raise
    return found


async def _write(env: Environment, found: Takeover, replacing: Replacing) -> None:
    data, source = env.paths.data, found.configuration
    now, random = env.clock.now(), env.random.bytes
    authority = new_authority(source.cluster.uuid, now, random)
    credentials = {
        node.uuid: issue_node_credential(authority, _subject(node), now, random)
        for node in source.nodes.values()
    }
    digests = {
        uuid: Certificate.of_pem(each.certificate_pem).sha1 for uuid, each in credentials.items()
    }
    configuration = taken_over(source, digests)
    await _bring_queue(env, found, replacing)
    for name in ("locks.data", "tempres.data"):
        await replacing.remove(data / name)
    content = to_bytes(dump_configuration(configuration))
    await replacing.write(env.paths.config, content, CONFIG_MODE)
    for key, value in ssconf_values(configuration).items():
        await replacing.write(data / f"{FILE_PREFIX}{key}", f"{value}\n".encode(), SSCONF_MODE)
    await _keep_or_make(env, found, replacing)
    me = configuration.cluster.master_node
    own = credentials.pop(me)
    prepared = tuple(_prepared(uuid, credential) for uuid, credential in credentials.items())
    await env.files.make_folder(data / CREDENTIALS_FOLDER, 0o700)
    await write_files(
        replacing,
        data,
        (
            *prepared,
            SecurityFile(AUTHORITY_KEY, KEY_MODE, authority.key_pem),
            *reversed(node_files(own, authority.certificate_pem)),
        ),
    )


def _subject(node: Node) -> NodeSubject:
    return NodeSubject(node.uuid, node.name, node.primary_ip)


def _prepared(uuid: NodeUuid, credential: Credential) -> SecurityFile:
    return SecurityFile(f"{CREDENTIALS_FOLDER}/{uuid}.pem", KEY_MODE, credential.combined())


async def _keep_or_make(env: Environment, found: Takeover, replacing: Replacing) -> None:
    """Bring the files that stay into their place; make those that are not there."""
    data, cluster, random = env.paths.data, found.configuration.cluster, env.random.bytes
    await env.files.make_folder(data / "rapi")
    for name in KEPT:
        mode = 0o640 if name in (RAPI_USERS, DOMAIN_SECRET) else SHARED_KEY_MODE
        if name in found.kept:
            if not found.in_place:
                content = await env.files.read(found.source / name)
                await replacing.write(data / name, content, mode)
            continue
        match name:
            case "hmac.key":
                content = new_hmac_key(random)
            case "rapi.pem":
                names, addresses = (cluster.cluster_name,), (cluster.master_ip,)
                content = new_rapi_credential(names, addresses, env.clock.now(), random).combined()
            case "rapi/users":
                content = RAPI_USERS_TEXT.encode()
            case _:
                content = random(DOMAIN_SECRET_BYTES).hex().encode() + b"\n"
        await replacing.write(data / name, content, mode)


async def _bring_queue(env: Environment, found: Takeover, replacing: Replacing) -> None:
    """Bring the job files along: LuxiD takes them over, and goes on with their numbers."""
    files, queue = env.files, env.paths.queue
    for folder in (queue, queue / "archive"):
        await files.make_folder(folder, QUEUE_FOLDER_MODE)
    if not found.in_place:
        await _copy_tree(env, found.source / "queue", queue, replacing)
    for name, content in (("version", QUEUE_VERSION), ("serial", FIRST_SERIAL)):
        if not await files.exists(queue / name):
            await replacing.write(queue / name, content.encode(), QUEUE_MODE)


async def _copy_tree(env: Environment, source: Path, target: Path, replacing: Replacing) -> None:
    """Copy the queue's files and those of its archive's folders."""
    for name in await env.files.list(source):
        try:
            content = await env.files.read(source / name)
        except IsADirectoryError:
            await env.files.make_folder(target / name, QUEUE_FOLDER_MODE)
            await _copy_tree(env, source / name, target / name, replacing)
        else:
            await replacing.write(target / name, content, QUEUE_MODE)
