"""How proper input is made improper: the same mistakes for Hypothesis and for the guided fuzzer.

Blind changes of bytes seldom get past a JSON parser, so half of the changes are made to the values
in it. All chance comes from one number.
"""

from __future__ import annotations

import re
from random import Random
from typing import Final, cast

import orjson

CHANGES_MAX: Final = 4
"""In one input; with more it is refused for the first one only."""

_SEPARATORS: Final = re.compile(rb"([\x03\n]|\r\n\r\n)")
"""What stands between the JSON values of a frame's stream, of lines, and after an HTTP head."""

DEEP: Final = 300
"""Deeper than can be rendered again, less deep than the parser refuses."""

_ABYSS: Final = "the abyss"
_ABYSS_MARK: Final = orjson.dumps(_ABYSS)

SCALARS: Final[tuple[object, ...]] = (
    None, True, False, 0, 1, -1, 2, 3, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
    0.5, -0.0, 1e308, -1e308, 5e-324, 1e16, "", " ", "0", "-1", "9" * 5000, "1_0", "٣", "²", "0x1f",
    "nan", "inf", "1e999", "a\nb", "a\0b", "\u2028", "\U0010ffff", "é", "..", "../../etc", "/",
    "x" * 2000, "+", "kind", "10.0.0.0/0", "::", "256.1.1.1", "00:00:00:00:00:00", "{}", "[[[",
)  # fmt: skip

WORDS: Final = (
    b"\x03", b"\n", b"\r\n", b"\0", b" ", b'"', b"\\", b"\\u0000", b"\\ud800", b"[" * DEEP, b"]",
    b"{", b"}", b",", b":", b"9" * 5000, b"1e999", b"-0", b"null", b"true", b"NaN", b"\xff",
    b"\xc3\xbc", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"%", b"%00", b"=", b"-",
    b"18446744073709551616",
)  # fmt: skip


def mutated(data: bytes, seed: int, words: tuple[bytes, ...] = ()) -> bytes:
    """Return ``data`` with some mistakes in it."""
    random = Random(seed)
    for _ in range(random.randint(1, CHANGES_MAX)):
        changed = _json_changed(data, random) if random.random() < 0.6 else None
        data = _bytes_changed(data, random, words) if changed is None else changed
    return data


def _bytes_changed(data: bytes, random: Random, words: tuple[bytes, ...]) -> bytes:
    place, length = random.randint(0, len(data)), random.choice((1, 1, 2, 4, 20, 200))
    match random.randrange(6):
        case 0:
            return data[:place] + random.choice(WORDS + words) + data[place:]
        case 1:
            return data[:place] + data[place + length :]
        case 2:
            return data[:place] + random.randbytes(min(length, 4)) + data[place + 1 :]
        case 3:
            return data[: place + length] + data[place:]
        case 4:
            return data[:place]
        case _:
            return data[:place] + random.choice(words or WORDS) + data[place + length :]


def _json_changed(data: bytes, random: Random) -> bytes | None:
    """Change a value in one of the JSON texts; ``None`` if there is none."""
    parts = _SEPARATORS.split(data)
    order = list(range(len(parts)))
    random.shuffle(order)
    for place in order[:20]:
        start = parts[place].find(b"{") if parts[place][:1] not in b"[{" else 0
        head, text = parts[place][: max(start, 0)], parts[place][max(start, 0) :]
        try:
            value = orjson.loads(text) if text else None
            if value is not None:
                parts[place] = head + _rendered(_value_changed(value, random))
                return b"".join(parts)
        except (orjson.JSONDecodeError, TypeError, RecursionError):
            continue
    return None


def _rendered(value: object) -> bytes:
    """Render a value; the places that are marked for it become deeper than can be rendered."""
    return orjson.dumps(value).replace(_ABYSS_MARK, b"[" * DEEP + b"]" * DEEP)


def _places(value: object) -> list[tuple[object, object]]:
    """Return all containers with their keys."""
    found: list[tuple[object, object]] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        keys: list[object] = []
        if isinstance(each, dict):
            keys = list(each)
        elif isinstance(each, list):
            keys = list(range(len(each)))
        for key in keys:
            found.append((each, key))
            waiting.append(cast("dict[object, object]", each)[key])
    return found


def _value_changed(value: object, random: Random) -> object:
    places = _places(value)
    if not places:
        return _hostile(random)
    container, key = random.choice(places)
    holder = cast("dict[object, object]", container)
    old = holder[key]
    match random.randrange(8):
        case 0 | 1 | 2:
            holder[key] = _hostile(random)
        case 3:
            del holder[key]
        case 4:
            other, name = random.choice(places)
            holder[key] = (
                cast("dict[object, object]", other).get(name) if isinstance(other, dict) else old
            )
        case 5:
            holder[key] = [old] if random.random() < 0.5 else {str(key): old}
        case 6 if isinstance(container, list):
            container.extend([old] * random.choice((1, 3, 300)))
        case 6:
            holder[str(random.choice(SCALARS))] = old
        case _:
            holder[key] = _near(old, random)
    return orjson.loads(orjson.dumps(value)) if random.random() < 0.1 else value


def _hostile(random: Random) -> object:
    match random.randrange(8):
        case 0:
            return []
        case 1:
            return {}
        case 2:
            return random.choice((_deep(2), _deep(60), _deep(120), _deep(200), _ABYSS))
        case 3:
            return [random.choice(SCALARS)] * random.choice((1, 2, 100))
        case 4:
            return {str(random.choice(SCALARS)): random.choice(SCALARS)}
        case _:
            return random.choice(SCALARS)


def _deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def _near(old: object, random: Random) -> object:
    """Return what looks like the old value and is another."""
    match old:
        case bool():
            return not old
        case int():
            return random.choice((old + 1, old - 1, -old, float(old), str(old), old * 1000))
        case float():
            return random.choice((-old, old * 1e300, int(old), str(old)))
        case str():
            return random.choice(
                (old[:-1], old + old, old.upper(), old + "\0", f" {old} ", old[::-1])
            )
        case list():
            return old[::-1]
        case _:
            return [old]
