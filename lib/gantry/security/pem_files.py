"""Which secrets and certificates lie in a node's data directory, under Ganeti's names."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from attrs import field, frozen

from gantry.security.authority import Credential

SERVER_PEM: Final = "server.pem"
"""The node's key and certificate: what NodeD shows."""

CLIENT_PEM: Final = "client.pem"
"""The same key and certificate: what the node shows when it calls others."""

RAPI_PEM: Final = "rapi.pem"
AUTHORITY_PEM: Final = "gantry-ca.pem"
"""The authority's certificate, on every node."""

AUTHORITY_KEY: Final = "gantry-ca.key"
"""The authority's key, on the master and its candidates only."""

HMAC_KEY: Final = "hmac.key"
RAPI_USERS: Final = "rapi/users"

KEY_MODE: Final = 0o400
SHARED_KEY_MODE: Final = 0o440
"""For keys that a daemon of another user reads through its group."""

PUBLIC_MODE: Final = 0o444


class WritesFiles(Protocol):
    """The one thing that is needed of ``Environment.files``."""

    async def write(self, path: Path, data: bytes, mode: int) -> None:
        """Replace a file's content atomically and durably."""


@frozen
class SecurityFile:
    """A file of the data directory."""

    name: str
    mode: int
    data: bytes = field(repr=False)


def node_files(node: Credential, authority_pem: bytes) -> tuple[SecurityFile, ...]:
    """Return what every node has."""
    return (
        SecurityFile(AUTHORITY_PEM, PUBLIC_MODE, authority_pem),
        SecurityFile(SERVER_PEM, SHARED_KEY_MODE, node.combined()),
        SecurityFile(CLIENT_PEM, SHARED_KEY_MODE, node.combined()),
    )


def candidate_files(
    authority: Credential, rapi: Credential, hmac_key: bytes
) -> tuple[SecurityFile, ...]:
    """Return what the master and its candidates have beyond :func:`node_files`."""
    return (
        SecurityFile(AUTHORITY_KEY, KEY_MODE, authority.key_pem),
        SecurityFile(RAPI_PEM, SHARED_KEY_MODE, rapi.combined()),
        SecurityFile(HMAC_KEY, SHARED_KEY_MODE, hmac_key),
    )


async def write_files(
    files: WritesFiles, data_folder: Path, wanted: tuple[SecurityFile, ...]
) -> None:
    """Write them, one after the other, each atomically.

    Raises:
        OSError: as :meth:`gantry.runtime.environment.Files.write`.
    """
    for file in wanted:
        await files.write(data_folder / file.name, file.data, file.mode)
