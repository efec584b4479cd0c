"""Join tokens: their text, and that each is good for one use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.security.certificates import Fingerprint
from gantry.security.join_token import (
    PREFIX,
    BadToken,
    JoinToken,
    TokenAccepted,
    TokenRefused,
    TokenStore,
    issue,
    new_secret,
    pruned,
    redeem,
    state_of,
)

NOW = 1_700_000_000.0
TOKEN = JoinToken("127.9.8.1", 1811, Fingerprint("AA:BB"), "s3cret", "node2", NOW + 600)


@given(
    st.builds(
        JoinToken,
        address=st.text(max_size=45),
        port=st.integers(0, 65535),
        authority=st.text(max_size=95).map(Fingerprint),
        secret=st.text(max_size=64),
        node=st.text(max_size=64),
        expires=st.floats(0, 1e10),
    )
)
def test_the_text_gives_the_token_back(token: JoinToken) -> None:
    text = token.to_text()
    assert len(text.split()) == 1
    assert text.isascii()
    assert JoinToken.from_text(f"  {text}\n") == token


@given(st.data())
def test_a_damaged_text_is_refused(data: st.DataObject) -> None:
    text = TOKEN.to_text()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != text[place]))
    damaged = text[:place] + other + text[place + 1 :]
    try:
        parsed = JoinToken.from_text(damaged)
    except BadToken:
        return
    assert parsed == TOKEN  # the last character's unused bits, or white space around it


@given(st.text())
def test_no_text_is_worse_than_refused(text: str) -> None:
    for word in (text, PREFIX + text):
        with pytest.raises(BadToken):
            JoinToken.from_text(word)


def test_a_cut_text_is_refused() -> None:
    text = TOKEN.to_text()
    for end in range(len(text)):
        with pytest.raises(BadToken):
            JoinToken.from_text(text[:end])


def test_secrets_do_not_show() -> None:
    assert "s3cret" not in repr(TOKEN)
    assert "s3cret" not in repr(issue(TokenStore(), TOKEN))
    secret = new_secret(lambda count: b"\x01" * count)
    assert secret == "01" * 32


def test_a_token_is_good_once() -> None:
    store = issue(TokenStore(), TOKEN)
    accepted = redeem(store, "s3cret", "node2", NOW)
    assert isinstance(accepted, TokenAccepted)
    again = redeem(accepted.store, "s3cret", "node2", NOW + 1)
    assert again == TokenRefused("used")
    assert [state_of(r, NOW) for r in accepted.store.records.values()] == ["used"]


@pytest.mark.parametrize(
    ("secret", "node", "at", "reason"),
    [
        ("other", "node2", NOW, "unknown"),
        ("\ud800", "node2", NOW, "unknown"),
        ("s3cret", "node3", NOW, "other node"),
        ("s3cret", "node2", NOW + 600, "expired"),
    ],
)
def test_refusals(secret: str, node: str, at: float, reason: str) -> None:
    refused = redeem(issue(TokenStore(), TOKEN), secret, node, at)
    assert isinstance(refused, TokenRefused)
    assert refused.reason == reason
    assert "ask the master for a new one" in refused.sentence()


def test_a_newer_token_for_a_node_revokes_the_older() -> None:
    newer = JoinToken("127.9.8.1", 1811, Fingerprint("AA:BB"), "newer", "node2", NOW + 700)
    store = issue(issue(TokenStore(), TOKEN), newer)
    assert redeem(store, "s3cret", "node2", NOW) == TokenRefused("unknown")
    assert isinstance(redeem(store, "newer", "node2", NOW), TokenAccepted)


def test_old_tokens_are_forgotten() -> None:
    store = issue(TokenStore(), TOKEN)
    assert pruned(store, NOW + 650, keep_seconds=60) == store
    assert pruned(store, NOW + 660, keep_seconds=60) == TokenStore()
