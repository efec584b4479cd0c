"""The joining machine's side: from a token to a node with all of its files."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import frozen

from gantry.core.ssconf import FILE_PREFIX
from gantry.protocols.errors import ConnectionLost, GantryError, Unreachable
from gantry.protocols.join import JOIN, Admission, Invitation, Join, JoinRefused
from gantry.protocols.noded import PORT
from gantry.protocols.service import stub
from gantry.runtime.environment import Environment
from gantry.runtime.http.client import HttpClient
from gantry.runtime.http.service import http_call
from gantry.runtime.membership import is_member, own_certificate
from gantry.runtime.replacing import Replacing
from gantry.security.authority import Credential, SigningRequest, new_signing_request
from gantry.security.certificates import Certificate
from gantry.security.join_token import JoinToken
from gantry.security.pem_files import (
    AUTHORITY_PEM,
    CLIENT_PEM,
    HMAC_KEY,
    RAPI_PEM,
    SERVER_PEM,
    SHARED_KEY_MODE,
    SecurityFile,
    node_files,
    write_files,
)

JOIN_SECONDS_MAX: Final = 30.0
"""For each of the two questions; the master makes one signature."""

SSCONF_MODE: Final = 0o444
STORAGE_KEYS: Final = ("file_storage_dir", "shared_file_storage_dir")
_SSCONF_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_SECRET_FILES: Final = frozenset({HMAC_KEY, RAPI_PEM})


class CanNotJoin(GantryError, ValueError):
    """The machine did not become a node; it is as it was. The text says why."""


@frozen
class Joined:
    """The machine is a node now; NodeD can be started."""

    cluster_name: str
    node: str
    known: bool = False
    """Whether the configuration has it already: it comes back, or was taken over."""


async def issue_token(env: Environment, node: str, lifetime_seconds: float) -> Invitation:
    """Have this machine's NodeD, the master's, issue a token.

    Raises:
        CanNotJoin: NodeD does not run here, or refuses.
    """
    if await own_certificate(env) is None:
        raise CanNotJoin(f"{env.node} is no node of a cluster; tokens are issued by the master")
    data = env.paths.data
    authority_pem = await env.files.read(data / AUTHORITY_PEM)
    tls = await env.tls.client(authority_pem, data / CLIENT_PEM)
    port = int(env.variables.get("GANTRY_NODED_PORT", PORT))
    client = HttpClient(env.network, await env.address(), port, tls)
    async with client:
        join = stub(JOIN, http_call(client, JOIN, JOIN_SECONDS_MAX))
        try:
            return await join.issue(node, lifetime_seconds)
        except Unreachable as error:
            raise CanNotJoin(f"NodeD does not run here: {error}; start gantry-noded") from error
        except (ConnectionLost, GantryError) as error:
            raise CanNotJoin(str(error)) from error


async def join_cluster(env: Environment, text: str, address: str | None) -> Joined:
    """Make this machine a node of the cluster that issued a token.

    Args:
        env: the machine.
        text: the token.
        address: the machine's own; ``None``: what its name resolves to.

    Raises:
        gantry.security.join_token.BadToken: the text is no token.
        CanNotJoin: the master refuses, does not answer, or is not who the token says.
        OSError: a file could not be written; what was written is removed again.
    """
    token = JoinToken.from_text(text)
    await _check(env, token)
    own_address = address or await _own_address(env)
    authority_pem = await _authority(env, token)
    request = new_signing_request(env.node, env.random.bytes)
    tls = await env.tls.client(authority_pem)
    async with _master(HttpClient(env.network, token.address, token.port, tls)) as join:
        admission = await join.admit(
            env.node, own_address, token.secret, request.request_pem.decode()
        )
    replacing = Replacing(env.files, env.paths.data)
    try:
        await _leave_ganeti(env, replacing)
        await _write(env, admission, request, replacing)
    except BaseException:
        with trio.CancelScope(shield=True):  # some small files
            await replacing.undo()
        raise
    known = env.node in admission.ssconf.get("node_list", "").split("\n")
    return Joined(admission.cluster_name, env.node, known)


async def _leave_ganeti(env: Environment, replacing: Replacing) -> None:
    """Set aside what would pass for a copy of the cluster's present configuration."""
    for name in ("config.data", "locks.data", "tempres.data"):
        await replacing.remove(env.paths.data / name)


async def _check(env: Environment, token: JoinToken) -> None:
    if await is_member(env):
        raise CanNotJoin(
            f"{env.node} is a node of a cluster already (see {env.paths.data}); "
            "remove it there first: gnt-node remove"
        )
    if token.node != env.node:
        raise CanNotJoin(
            f"the token is for {token.node}, but this machine is {env.node}; "
            "ask the master for a token of its own"
        )


async def _own_address(env: Environment) -> str:
    try:
        return await env.network.resolve(env.node)
    except OSError as error:
        raise CanNotJoin(
            f"the name of this machine, {env.node}, does not resolve ({error}); "
            "add it to /etc/hosts or the DNS, or give --address"
        ) from error


@asynccontextmanager
async def _master(client: HttpClient) -> AsyncIterator[Join]:
    """Talk with the master; what goes wrong is told in the words of somebody who joins."""
    try:
        async with client:
            yield stub(JOIN, http_call(client, JOIN, JOIN_SECONDS_MAX))
    except JoinRefused as error:
        raise CanNotJoin(error.sentence()) from error
    except ConnectionLost as error:
        raise CanNotJoin(f"the master does not answer: {error}") from error
    except GantryError as error:
        raise CanNotJoin(f"the master refuses: {error}") from error


async def _authority(env: Environment, token: JoinToken) -> bytes:
    """Fetch the authority's certificate, and make sure that it is the one of the token."""
    tls = await env.tls.introduction()
    client = HttpClient(env.network, token.address, token.port, tls)
    async with _master(client) as join:
        pem = (await join.authority()).encode()
    if Certificate.of_pem(pem).sha256 != token.authority:
        raise CanNotJoin(
            f"{token.address}:{token.port} belongs to another cluster than the token: its "
            "authority has another fingerprint; nothing was sent to it"
        )
    return pem


async def _write(
    env: Environment, admission: Admission, request: SigningRequest, replacing: Replacing
) -> None:
    """Write all files; the authority's certificate, with which the machine is a node, last."""
    data, files = env.paths.data, env.files
    await files.make_folder(data, 0o755)
    for key, value in admission.ssconf.items():
        if not _SSCONF_KEY.fullmatch(key):
            raise CanNotJoin(f"the master sent an ssconf value with the odd name {key!r:.80}")
        await replacing.write(data / f"{FILE_PREFIX}{key}", f"{value}\n".encode(), SSCONF_MODE)
    for key in STORAGE_KEYS:
        if folder := admission.ssconf.get(key):
            await files.make_folder(env.paths.below(folder))
    prepared = admission.secrets.get(SERVER_PEM)
    credential = (
        request.completed(admission.certificate_pem.encode())
        if prepared is None
        else Credential.of_combined(prepared.encode())
    )
    secrets = tuple(
        SecurityFile(name, SHARED_KEY_MODE, content.encode())
        for name, content in admission.secrets.items()
        if name in _SECRET_FILES
    )
    own = node_files(credential, admission.authority_pem.encode())
    await write_files(replacing, data, (*secrets, *reversed(own)))
