"""``gnt-cluster init``: make this machine the first node, and the master, of a new cluster.

Everything is checked before anything is written, and what was written is removed again if a
later write fails. The node certificate is written last: it is what makes a machine a node.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from gantry.core.founding.configuration import FoundingFacts, first_configuration
from gantry.core.founding.request import FoundingRefused, FoundingRequest, parse_request
from gantry.core.ssconf import FILE_PREFIX, ssconf_values
from gantry.protocols.codec import to_bytes
from gantry.protocols.identity import ClusterUuid, GroupUuid, NodeUuid
from gantry.protocols.objects.configuration import Configuration, dump_configuration
from gantry.runtime.environment import Environment
from gantry.runtime.membership import DOMAIN_SECRET, forget_cluster, own_certificate
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
    RAPI_USERS,
    SecurityFile,
    candidate_files,
    node_files,
    write_files,
)

CONFIG_MODE: Final = 0o640
SSCONF_MODE: Final = 0o444
QUEUE_MODE: Final = 0o640
QUEUE_FOLDER_MODE: Final = 0o750
QUEUE_VERSION: Final = "1\n"
FIRST_SERIAL: Final = "0\n"
DOMAIN_SECRET_BYTES: Final = 20

HOST_KEY: Final = Path("etc/ssh/ssh_host_rsa_key.pub")

RAPI_USERS_TEXT: Final = """\
# Who may use the remote API, one user a line: NAME PASSWORD [write]
# Without "write" a user may only read. A password may be given as its digest:
# {HA1} and the hexadecimal MD5 of NAME:Ganeti Remote API:PASSWORD
"""


@frozen
class _Secrets:
    """What is drawn at random."""

    authority: Credential
    node: Credential
    rapi: Credential
    hmac_key: bytes
    domain_secret: bytes


async def found_cluster(env: Environment, arguments: Mapping[str, object]) -> Configuration:
    """Make a cluster and return its first configuration. No daemon is started.

    Raises:
        FoundingRefused: it can not be made; nothing was changed.
        OSError: a file could not be written; what was written is removed again.
    """
    request = parse_request(arguments)
    facts, secrets = await _gather(env, request)
    configuration = first_configuration(request, facts)
    try:
        await _write(env, configuration, secrets)
    except BaseException:
        await forget_cluster(env.files, env.paths)
        raise
    return configuration


async def _gather(env: Environment, request: FoundingRequest) -> tuple[FoundingFacts, _Secrets]:
    """Check the machine, and draw what is random."""
    if await own_certificate(env) is not None or await env.files.exists(env.paths.config):
        raise FoundingRefused(
            f"{env.node} is a node of a cluster already (see {env.paths.data}); "
            "destroy or leave that one first"
        )
    node_address = await _resolved(env, env.node, request)
    cluster_address = await _resolved(env, request.cluster_name, request)
    if cluster_address == node_address:
        raise FoundingRefused(
            f"the cluster's name {request.cluster_name} resolves to {env.node}'s own address "
            f"{node_address}; give the cluster an address that can move to another master"
        )
    now, random = env.clock.now(), env.random.bytes
    cluster, node = ClusterUuid(env.random.uuid()), NodeUuid(env.random.uuid())
    authority = new_authority(cluster, now, random)
    subject = NodeSubject(node, env.node, node_address)
    secrets = _Secrets(
        authority=authority,
        node=issue_node_credential(authority, subject, now, random),
        rapi=new_rapi_credential((request.cluster_name,), (cluster_address,), now, random),
        hmac_key=new_hmac_key(random),
        domain_secret=random(DOMAIN_SECRET_BYTES).hex().encode() + b"\n",
    )
    facts = FoundingFacts(
        now=now,
        cluster_uuid=cluster,
        node_uuid=node,
        group_uuid=GroupUuid(env.random.uuid()),
        node_name=env.node,
        node_address=node_address,
        cluster_address=cluster_address,
        certificate_digest=Certificate.of_pem(secrets.node.certificate_pem).sha1,
        host_key=await _host_key(env),
    )
    return facts, secrets


async def _resolved(env: Environment, name: str, request: FoundingRequest) -> str:
    try:
        address = await env.network.resolve(name)
    except (OSError, socket.gaierror) as error:
        raise FoundingRefused(
            f"the name {name} does not resolve ({error}); add it to /etc/hosts or the DNS"
        ) from error
    if ipaddress.ip_address(address).version != request.ip_version:
        raise FoundingRefused(
            f"{name} resolves to {address}, but --primary-ip-version is {request.ip_version}"
        )
    return address


async def _host_key(env: Environment) -> str:
    try:
        words = (await env.files.read(env.paths.root / HOST_KEY)).decode(errors="replace").split()
    except (FileNotFoundError, PermissionError):
        return ""
    return words[1] if len(words) > 1 else ""


async def _write(env: Environment, configuration: Configuration, secrets: _Secrets) -> None:
    data, files = env.paths.data, env.files
    await files.make_folder(data, 0o755)
    await files.make_folder(data / "rapi")
    for folder in (env.paths.queue, env.paths.queue / "archive"):
        await files.make_folder(folder, QUEUE_FOLDER_MODE)
    await files.write(env.paths.queue / "version", QUEUE_VERSION.encode(), QUEUE_MODE)
    await files.write(env.paths.queue / "serial", FIRST_SERIAL.encode(), QUEUE_MODE)
    for storage in _storage_folders(configuration):
        await files.make_folder(env.paths.below(storage))
    await files.write(env.paths.config, to_bytes(dump_configuration(configuration)), CONFIG_MODE)
    for key, value in ssconf_values(configuration).items():
        await files.write(data / f"{FILE_PREFIX}{key}", f"{value}\n".encode(), SSCONF_MODE)
    if not await files.exists(data / RAPI_USERS):
        await files.write(data / RAPI_USERS, RAPI_USERS_TEXT.encode(), 0o640)
    await write_files(
        files,
        data,
        (
            SecurityFile(DOMAIN_SECRET, 0o640, secrets.domain_secret),
            *candidate_files(secrets.authority, secrets.rapi, secrets.hmac_key),
            *node_files(secrets.node, secrets.authority.certificate_pem),
        ),
    )


def _storage_folders(configuration: Configuration) -> list[str]:
    cluster = configuration.cluster
    return [path for path in (cluster.file_storage_dir, cluster.shared_file_storage_dir) if path]
