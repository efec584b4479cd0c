"""What makes a machine a node of a cluster: files of its data directory, and their end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from gantry.core.ssconf import FILE_PREFIX
from gantry.runtime.commit_mark import CONFIG_MARK
from gantry.runtime.environment import Environment, Files
from gantry.runtime.paths import Paths
from gantry.security.certificates import Certificate
from gantry.security.pem_files import (
    AUTHORITY_KEY,
    AUTHORITY_PEM,
    CLIENT_PEM,
    HMAC_KEY,
    RAPI_PEM,
    SERVER_PEM,
)

DOMAIN_SECRET: Final = "cluster-domain-secret"

CREDENTIALS: Final = (
    SERVER_PEM,
    CLIENT_PEM,
    AUTHORITY_KEY,
    AUTHORITY_PEM,
    RAPI_PEM,
    HMAC_KEY,
    DOMAIN_SECRET,
    "join-tokens.json",
)
"""Removed first: without them the machine can neither act nor be acted upon."""

CLUSTER_FILES: Final = (
    "config.data",
    "config.log",
    CONFIG_MARK,
    "locks.data",
    "locks.log",
    "queue.journal",
    "queue.snapshot",
    "queue.archive-gap",
    "node-keys.json",
    "node-keys.log",
    "known_hosts",
    "ssconf-position.json",
    "allegiance.json",
    "solo-config.json",
    "solo-queue.json",
    "watcher.pause",
)
ASIDE: Final = ".log.aside-"
"""In the names of files with records that were cut off a replica."""

CREDENTIALS_FOLDER: Final = "credentials"
"""Keys and certificates that were made at a takeover for nodes that have not joined yet."""

CLUSTER_FOLDERS: Final = (CREDENTIALS_FOLDER, "queue", "rapi")


async def own_certificate(env: Environment) -> Certificate | None:
    """Return the certificate that the machine has as a node; ``None`` if it is none."""
    try:
        return Certificate.of_pem(await env.files.read(env.paths.data / SERVER_PEM))
    except FileNotFoundError:
        return None


async def is_member(env: Environment) -> bool:
    """Whether the machine is a node of a cluster of ours; one of Ganeti's has no authority."""
    certificate = await env.files.exists(env.paths.data / SERVER_PEM)
    return certificate and await env.files.exists(env.paths.data / AUTHORITY_PEM)


async def set_cluster_aside(files: Files, paths: Paths, folder: Path) -> None:
    """Move all that makes the machine a node into a folder that only root may enter.

    The credentials go last but for the ssconf files: if this is broken off, the machine is still
    the node that it was, and does it again.
    """
    await files.make_folder(folder, 0o700)
    asides = [name for name in await files.list(paths.data) if ASIDE in name]
    ssconf = [name for name in await files.list(paths.data) if name.startswith(FILE_PREFIX)]
    for name in (*CLUSTER_FILES, *CLUSTER_FOLDERS, *asides, *reversed(CREDENTIALS), *ssconf):
        with suppress(FileNotFoundError):
            await files.rename(paths.data / name, folder / name)


async def forget_cluster(files: Files, paths: Paths) -> None:
    """Remove all that makes the machine a node; what is not there is no error."""
    for name in CREDENTIALS:
        await files.remove(paths.data / name)
    for name in await files.list(paths.data):
        if name.startswith(FILE_PREFIX) or ASIDE in name:
            await files.remove(paths.data / name)
    for name in CLUSTER_FILES:
        await files.remove(paths.data / name)
    for name in CLUSTER_FOLDERS:
        await files.remove_tree(paths.data / name)
