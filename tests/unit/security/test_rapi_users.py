"""The users file of RapiD, and who may come in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.security.rapi_users import RapiUsers, ha1, parse_basic, parse_users

FILE = b"""\
# who may do what
root   toor         write
reader {cleartext}see   read,write

nobody plain
digest {HA1}%s write
shout  {ha1}%s
odd    {SSHA}xyz    read, fly
lonely
root   newer        read
""" % (ha1("digest", "x y").encode(), ha1("shout", "loud").upper().encode())


def allowed(users: RapiUsers, name: str, password: str) -> set[str] | None:
    user = users.authenticated(name, password)
    return None if user is None else set(user.options)


def test_users_of_all_kinds() -> None:
    users = parse_users(FILE)
    assert allowed(users, "root", "newer") == {"read"}
    assert allowed(users, "reader", "see") == {"read", "write"}
    assert allowed(users, "nobody", "plain") == set()
    assert allowed(users, "digest", "x y") == {"write"}
    assert allowed(users, "shout", "loud") == set()


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("root", "toor"),
        ("root", ""),
        ("reader", "{cleartext}see"),
        ("digest", ha1("digest", "x y")),
        ("digest", "{HA1}" + ha1("digest", "x y")),
        ("odd", "xyz"),
        ("odd", "{SSHA}xyz"),
        ("lonely", ""),
        ("#", "who"),
        ("stranger", "x"),
        ("", ""),
    ],
)
def test_wrong_passwords(name: str, password: str) -> None:
    assert allowed(parse_users(FILE), name, password) is None


def test_what_is_odd_is_reported_without_passwords() -> None:
    problems = parse_users(FILE).problems
    assert problems == (
        "line 8: unknown option 'fly'; ignored",
        "line 8: unknown password scheme 'SSHA'",
        "line 9: a user needs a password; ignored",
        "line 10: 'root' is listed again; the last line counts",
    )


def test_passwords_do_not_show() -> None:
    shown = repr(parse_users(FILE))
    assert "newer" not in shown
    assert "plain" not in shown


@given(st.binary())
def test_junk_never_raises_and_lets_nobody_in(junk: bytes) -> None:
    users = parse_users(junk)
    assert users.authenticated("stranger who is not listed", "x") is None


@given(st.text(), st.text())
def test_basic_credentials_come_back(name: str, password: str) -> None:
    sent = base64.b64encode(f"{name}:{password}".encode()).decode()
    got = parse_basic(f"basic {sent}")
    assert got == (name.split(":")[0], f"{name}:{password}".partition(":")[2])


@given(st.text())
def test_other_headers_are_no_credentials(header: str) -> None:
    for text in (header, f"Digest {header}", "Basic é", "Basic ====", "Basic " + "bm9jb2xvbg=="):
        parse_basic(text)  # whatever it is, it does not raise
    assert parse_basic("Basic bm9jb2xvbg==") is None
    assert parse_basic("Digest YTpi") is None
