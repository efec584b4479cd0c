"""Which datagrams are dropped, and why."""

import pytest

from gantry.core.confd.rendered import PLAIN_END, rendered_answer
from gantry.daemons.rconfd import door as door_module
from gantry.daemons.rconfd.door import Door, SeenSignatures
from gantry.protocols.codec import to_bytes
from gantry.protocols.rconfd import (
    MAGIC,
    REPLY_BYTES_MAX,
    Envelope,
    Request,
    RequestType,
    Status,
    parse_envelope,
    parse_reply,
    render_envelope,
    render_request,
)
from gantry.security.hmac_key import sign

KEY = b"0123456789abcdef\n"
NOW = 1_700_000_000.0
PING = Request(RequestType.PING, None, "reply-salt")


def signed(msg: str, salt: str = "1700000000", key: bytes = KEY) -> bytes:
    return render_envelope(Envelope(msg, salt, sign(key, salt, msg)))


def test_a_proper_request_is_let_in_once() -> None:
    door, datagram = Door(KEY), signed(render_request(PING))

    assert door.admit(datagram, NOW) == PING
    assert door.admit(datagram, NOW + 1) == "replayed"
    assert door.admit(datagram, NOW + 301) == "stale"


def test_signatures_in_capitals_are_no_way_to_replay() -> None:
    door = Door(KEY)
    envelope = parse_envelope(signed(render_request(PING)))
    shouted = render_envelope(Envelope(envelope.msg, envelope.salt, envelope.hmac.upper()))

    assert door.admit(render_envelope(envelope), NOW) == PING
    assert door.admit(shouted, NOW) in ("forged", "replayed")


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "malformed"),
        (b"plj", "malformed"),
        (b"plj1{}", "malformed"),
        (MAGIC, "malformed"),
        (MAGIC + b"{}", "malformed"),
        (MAGIC + b'["msg", "salt", "hmac"]', "malformed"),
        (MAGIC + to_bytes({"msg": {}, "salt": "1700000000", "hmac": ""}), "malformed"),
        (MAGIC + b"[" * 4000, "malformed"),
        (signed(render_request(PING), key=b"0123456789abcdef"), "forged"),
        (signed(render_request(PING), "1699999699"), "stale"),
        (signed(render_request(PING), "1700000301"), "stale"),
        (signed(render_request(PING), "1700000000.0"), "stale"),
        (signed(render_request(PING), ""), "stale"),
        (signed(render_request(PING), "9" * 400), "stale"),
        (signed(" " * 4096), "oversized"),
        (signed("[]"), "senseless"),
        (signed('{"protocol":1,"type":12,"query":null,"rsalt":"r"}'), "senseless"),
        (signed('{"protocol":1,"type":true,"query":null,"rsalt":"r"}'), "senseless"),
        (signed('{"protocol":1,"type":0,"query":null}'), "senseless"),
        (signed('{"protocol":1,"type":0,"query":null,"rsalt":"r","more":1}'), "senseless"),
        (signed('{"protocol":1,"type":2,"query":{"ip":"::1"},"rsalt":"r"}'), "senseless"),
        (signed('{"protocol":1,"type":0,"query":null,"rsalt":"%s"}' % ("r" * 300)), "senseless"),
    ],
)
def test_everything_else_is_dropped(datagram: bytes, reason: str) -> None:
    assert Door(KEY).admit(datagram, NOW) == reason


def test_the_window_is_five_minutes_to_both_sides() -> None:
    for salt in ("1699999700", "1700000300"):
        assert Door(KEY).admit(signed(render_request(PING), salt), NOW) == PING


def test_forged_datagrams_leave_no_trace() -> None:
    door = Door(KEY)
    forged = parse_envelope(signed(render_request(PING), key=b"other"))
    door.admit(render_envelope(forged), NOW)
    assert door._seen == SeenSignatures()


def test_old_signatures_are_forgotten_a_generation_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door_module, "GENERATION_MAX", 2)
    full = SeenSignatures()

    fresh = [full.is_new(name, NOW) for name in ("a", "b", "a", "c", "b", "d", "e", "c", "a")]
    assert fresh == [True, True, False, True, False, True, True, False, True]

    late = SeenSignatures()
    assert late.is_new("a", NOW)
    assert late.is_new("b", NOW + 600)
    assert not late.is_new("a", NOW + 601)
    assert not late.is_new("b", NOW + 1200)
    assert late.is_new("a", NOW + 1202)


def test_a_reply_beyond_a_datagram_becomes_an_error() -> None:
    sealed = Door(KEY).sealed(rendered_answer("x" * REPLY_BYTES_MAX, 4), PLAIN_END, "r")
    reply = parse_reply(parse_envelope(b"".join(sealed)).msg)
    assert (reply.status, reply.serial) == (Status.ERROR, 0)
    assert "larger than a datagram (61440 bytes)" in str(reply.answer)


def test_a_kept_reply_is_sent_as_it_is() -> None:
    reply = rendered_answer("x" * 1000, 4)
    assert any(piece is reply.escaped for piece in Door(KEY).sealed(reply, PLAIN_END, "r"))
