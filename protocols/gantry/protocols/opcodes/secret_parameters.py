"""Take the secrets out of an opcode and put them back: they bypass every file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

import attrs

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.secrecy import Secret
from gantry.protocols.values import Json

OpcodeT = TypeVar("OpcodeT", bound=Opcode)

_PARAMETER: Final = "osparams_secret"
"""The one parameter that holds secrets."""


def secrets_of(opcode: Opcode) -> Mapping[str, Json] | None:
    """Return the secret OS parameters of an opcode; ``None`` if it has none."""
    secrets = cast("Mapping[str, Secret[Json]] | None", getattr(opcode, _PARAMETER, None))
    return None if secrets is None else {name: secret.value for name, secret in secrets.items()}


def with_secrets(opcode: OpcodeT, secrets: Mapping[str, Json] | None) -> OpcodeT:
    """Return an opcode that was read from a file with its secrets in place again."""
    if secrets is None:
        return opcode
    hidden = {name: Secret(value) for name, value in secrets.items()}
    evolve = cast("Callable[..., OpcodeT]", attrs.evolve)
    return evolve(opcode, **{_PARAMETER: hidden})


def lost_secrets(opcode: Opcode) -> tuple[str, ...]:
    """Return the names of the secret OS parameters whose values are not there any more."""
    secrets = cast("Mapping[str, Secret[Json]] | None", getattr(opcode, _PARAMETER, None))
    return tuple(name for name, secret in (secrets or {}).items() if secret.is_lost)
