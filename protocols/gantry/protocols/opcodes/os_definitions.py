"""Opcodes about OS definitions."""

from __future__ import annotations

from attrs import frozen

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.values import NonEmpty


@frozen(kw_only=True)
class OpOsDiagnose(Opcode):
    """List the OS definitions and what nodes say about them."""

    output_fields: tuple[NonEmpty, ...]
    names: tuple[NonEmpty, ...] = ()
    """All OS definitions if empty."""
