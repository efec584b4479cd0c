"""TLS contexts behind :class:`gantry.runtime.environment.Tls`: OpenSSL's, of the node's files."""

from __future__ import annotations

import ssl
from pathlib import Path

from attrs import frozen
from typing_extensions import override

from gantry.runtime.environment import Run, Tls
from gantry.runtime.files import in_thread
from gantry.security.contexts import (
    ClientCertificates,
    client_context,
    introduction_context,
    server_context,
)


@frozen
class RealTls(Tls):
    """OpenSSL reads certificates and keys from files, so this is blocking work."""

    _run: Run = in_thread

    @override
    async def client(self, authority_pem: bytes, combined: Path | None = None) -> ssl.SSLContext:
        return await self._run(lambda: client_context(authority_pem, combined))

    @override
    async def server(
        self, combined: Path, clients: ClientCertificates, authority_pem: bytes | None = None
    ) -> ssl.SSLContext:
        return await self._run(lambda: server_context(combined, clients, authority_pem))

    @override
    async def introduction(self) -> ssl.SSLContext:
        return await self._run(introduction_context)
