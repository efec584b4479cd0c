"""RapiD's users file: ``name password [option,option]`` per line, ``#`` for comments.

The password is plain, or ``{CLEARTEXT}plain``, or ``{HA1}`` with the hexadecimal MD5 digest of
``name:realm:password`` (RFC 2617 calls it H(A1)). The form is Ganeti's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final, Literal

from attrs import field, frozen

REALM: Final = "Ganeti Remote API"

Option = Literal["read", "write"]

_OPTIONS: Final[Mapping[str, Option]] = {"read": "read", "write": "write"}
_SCHEME: Final = re.compile(r"\{([^{}]*)\}(.*)", re.DOTALL)

_NOBODY: Final = "{HA1}" + "0" * 32
"""What an unknown name's password is compared with, so that both cases cost the same."""


@frozen
class RapiUser:
    """One user and what they may do."""

    name: str
    password: str = field(repr=False)
    """As it stands in the file."""
    options: frozenset[Option] = frozenset()


@frozen
class RapiUsers:
    """The users file, parsed."""

    users: Mapping[str, RapiUser]
    problems: tuple[str, ...] = ()
    """What is odd about the file, each with its line's number; never a password."""

    def authenticated(self, name: str, password: str) -> RapiUser | None:
        """Return the user if the password is right."""
        user = self.users.get(name)
        expected = user.password if user is not None else _NOBODY
        return user if _is_right(expected, name, password) else None


def parse_users(content: bytes) -> RapiUsers:
    """Parse the file; what makes no sense is passed over and reported, never an exception."""
    text = content.decode(errors="replace")
    users: dict[str, RapiUser] = {}
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 2)
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 1:
            problems.append(f"line {number}: a user needs a password; ignored")
            continue
        name, password, listed = words[0], words[1], words[2] if len(words) == 3 else ""
        named = [option.strip() for option in listed.split(",")]
        problems += [
            f"line {number}: unknown option {option!r:.40}; ignored"
            for option in named
            if option and option not in _OPTIONS
        ]
        scheme = _SCHEME.fullmatch(password)
        if scheme is not None and scheme[1].upper() not in ("HA1", "CLEARTEXT"):
            problems.append(f"line {number}: unknown password scheme {scheme[1]!r:.40}")
        if name in users:
            problems.append(f"line {number}: {name!r:.40} is listed again; the last line counts")
        options = frozenset(_OPTIONS[option] for option in named if option in _OPTIONS)
        users[name] = RapiUser(name, password, options)
    return RapiUsers(users, tuple(problems))


def parse_basic(authorization: str) -> tuple[str, str] | None:
    """Return name and password of an ``Authorization: Basic`` header; ``None`` if it is no such."""
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # not base 64, or not UTF-8
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else None


def ha1(name: str, password: str, realm: str = REALM) -> str:
    """Return the digest that may stand in the file instead of the password."""
    digest = hashlib.md5(f"{name}:{realm}:{password}".encode(), usedforsecurity=False)
    return digest.hexdigest()


def _is_right(expected: str, name: str, password: str) -> bool:
    match = _SCHEME.fullmatch(expected)
    scheme, secret = ("CLEARTEXT", expected) if match is None else (match[1].upper(), match[2])
    given = ha1(name, password)  # always, so that no case is faster
    if scheme == "HA1":
        return hmac.compare_digest(secret.lower().encode(), given.encode())
    if scheme == "CLEARTEXT":
        return hmac.compare_digest(secret.encode(), password.encode())
    return False
