"""Signatures of ConfD's datagrams."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.security.hmac_key import Signer, is_signed, new_hmac_key, sign


def test_against_rfc_2202() -> None:
    assert sign(b"Jefe", "", "what do ya want for nothing?") == (
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
    )


def test_the_newline_is_part_of_the_key() -> None:
    key = new_hmac_key(lambda count: b"\xab" * count)
    assert key == b"ab" * 20 + b"\n"
    assert sign(key, "1", "m") != sign(key.strip(), "1", "m")


@given(st.binary(), st.text(), st.text(), st.text(), st.characters())
def test_only_the_right_signature_fits(
    key: bytes, salt: str, message: str, other: str, character: str
) -> None:
    signature = sign(key, salt, message)
    assert is_signed(key, salt, message, signature)
    assert not is_signed(key + b"x", salt, message, signature)
    assert is_signed(key, salt, message, other) == (other == signature)
    assert not is_signed(key, salt, message, signature + character)


@pytest.mark.parametrize("length", [0, 1, 41, 64, 65, 500])
def test_a_signer_signs_as_hmac_does(length: int) -> None:
    key = bytes(range(256))[:length] * 2
    parts = (b"salt", b"", b"x" * 3000)
    expected = hmac.new(key, b"".join(parts), "sha1").hexdigest()
    assert Signer.of(key).sign(*parts) == expected
    assert Signer.of(key).sign(*parts) == expected
