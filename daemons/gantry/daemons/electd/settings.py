"""Where the election daemon finds etcd: ``/etc/ganeti/election.json``, the same on every node."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from gantry.protocols.codec import Malformed, from_bytes, load
from gantry.runtime.daemon import EXIT_NOT_CLUSTER, StartRefused
from gantry.runtime.environment import Environment

FILE: Final = "election.json"
PORT: Final = 2379

LEASE_SECONDS_MIN: Final = 5
LEASE_SECONDS_MAX: Final = 300


@frozen
class Endpoint:
    """One member of etcd."""

    host: str
    port: int
    encrypted: bool


@frozen
class ElectionFile:
    """What the file holds."""

    endpoints: tuple[str, ...]
    """Such as ``https://etcd1.example.com:2379``; they are tried in order."""
    lease_seconds: int = 15
    """A master that is dead for so long loses its office."""
    authority: str | None = None
    """For https: the PEM file of the authority that signs etcd's certificates."""
    certificate: str | None = None
    """For https: this node's key and certificate for etcd, in one PEM file."""


@frozen
class Settings:
    """The same, read and checked."""

    endpoints: tuple[Endpoint, ...]
    lease_seconds: int
    authority: Path | None
    certificate: Path | None


async def read_settings(env: Environment) -> Settings:
    """Read the file.

    Raises:
        StartRefused: it is missing, or wrong; the text says what to do.
    """
    path = env.paths.etc / FILE
    try:
        found = load(ElectionFile, from_bytes(await env.files.read(path)))
        return _checked(env, found)
    except FileNotFoundError:
        raise StartRefused(
            f"no elections here: {path} does not exist; it names etcd's endpoints, for example "
            '{"endpoints": ["http://192.0.2.1:2379"]}',
            EXIT_NOT_CLUSTER,
        ) from None
    except (Malformed, OSError) as error:
        raise StartRefused(f"{path} can not be used: {error}") from error


def _checked(env: Environment, found: ElectionFile) -> Settings:
    if not LEASE_SECONDS_MIN <= found.lease_seconds <= LEASE_SECONDS_MAX:
        raise Malformed(
            f"lease_seconds is {found.lease_seconds}, and must be from {LEASE_SECONDS_MIN} to "
            f"{LEASE_SECONDS_MAX}"
        )
    if not found.endpoints:
        raise Malformed("endpoints is empty")
    endpoints = tuple(_endpoint(each) for each in found.endpoints)
    if any(each.encrypted for each in endpoints) and found.authority is None:
        raise Malformed("authority is missing: https needs the PEM file of etcd's authority")
    return Settings(
        endpoints,
        found.lease_seconds,
        None if found.authority is None else env.paths.below(found.authority),
        None if found.certificate is None else env.paths.below(found.certificate),
    )


def _endpoint(url: str) -> Endpoint:
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError as error:
        raise Malformed(f"{url} is no endpoint: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise Malformed(f"{url} is no endpoint: write http://HOST:PORT or https://HOST:PORT")
    return Endpoint(parts.hostname, port, parts.scheme == "https")
