"""Our answers compared with those of Ganeti's ConfD for the same configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from gantry.core.confd.book import AnswerBook
from gantry.core.confd.view import ConfdView
from gantry.daemons.rconfd.door import Door
from gantry.protocols.rconfd import (
    MAGIC,
    Envelope,
    Request,
    parse_envelope,
    parse_reply,
    parse_request,
    render_envelope,
)
from gantry.security.hmac_key import sign

FACTS = Path(__file__).parents[3] / "facts" / "samples"
SAMPLES = json.loads((FACTS / "confd.json").read_text())
RECORDED_AT = 1795250255.0
KEY = b"not the key with which they were recorded\n"

UNORDERED = {4, 5, 6}
"""Request types whose answer is a set."""


@pytest.fixture(scope="module")
def book() -> AnswerBook:
    return AnswerBook(ConfdView.of(json.loads((FACTS / "config.data").read_bytes())))


def signed_anew(sample: dict[str, Any]) -> bytes:
    """Sign a recorded datagram with our key, if it is one that was signed well."""
    sent = sample["sent"].encode()
    if sample["name"] in ("bad_hmac", "with_key_selector") or not sent.startswith(MAGIC + b'{"'):
        return bytes(sent)
    old = parse_envelope(sent)
    return render_envelope(Envelope(old.msg, old.salt, sign(KEY, old.salt, old.msg)))


@pytest.mark.parametrize(
    "sample", [each for each in SAMPLES if "reply" in each], ids=lambda each: each["name"]
)
def test_what_ganeti_answered_we_answer(sample: dict[str, Any], book: AnswerBook) -> None:
    door = Door(KEY)

    request = door.admit(signed_anew(sample), RECORDED_AT)

    assert isinstance(request, Request)
    datagram = b"".join(door.sealed(*book.answer(request), request.rsalt))
    envelope = parse_envelope(datagram)
    assert envelope.salt == request.rsalt
    assert envelope.hmac == sign(KEY, envelope.salt, envelope.msg)
    assert list(json.loads(datagram[4:])) == ["msg", "salt", "hmac"]
    ours, theirs = json.loads(envelope.msg), sample["reply"]
    assert ours.keys() == theirs.keys()
    if isinstance(theirs["answer"], str) and theirs["status"] == 1:  # their words are theirs
        assert isinstance(ours["answer"], str)
        del ours["answer"], theirs["answer"]
    elif sample["type"] in UNORDERED:
        ours["answer"], theirs["answer"] = sorted(ours["answer"]), sorted(theirs["answer"])
    elif sample["type"] == 8 and theirs["status"] == 0:
        ours["answer"], theirs["answer"] = [
            [sorted(part, key=lambda each: str(each["name"])) for part in both]
            for both in (ours["answer"], theirs["answer"])
        ]
    assert ours == theirs


@pytest.mark.parametrize(
    "sample", [each for each in SAMPLES if "reply" not in each], ids=lambda each: each["name"]
)
def test_where_ganeti_was_silent_we_are_silent(sample: dict[str, Any]) -> None:
    assert not isinstance(Door(KEY).admit(signed_anew(sample), RECORDED_AT), Request)


def test_recorded_replies_parse() -> None:
    for sample in SAMPLES:
        if "reply" in sample:
            envelope = parse_envelope(sample["reply_raw"].encode())
            assert envelope.salt == parse_request(parse_envelope(sample["sent"].encode()).msg).rsalt
            assert parse_reply(envelope.msg).serial == sample["reply"]["serial"]
