"""Laws of ConfD's datagrams: what is rendered parses back, and noise is met with silence."""

from hypothesis import given
from hypothesis import strategies as st

from gantry.daemons.rconfd.door import Door
from gantry.protocols.rconfd import (
    MAGIC,
    DetailedQuery,
    Envelope,
    LogOrder,
    MasterField,
    Reply,
    Request,
    RequestType,
    Status,
    parse_envelope,
    parse_reply,
    parse_request,
    render_envelope,
    render_reply,
    render_request,
)
from gantry.security.hmac_key import sign

KEY = b"key\n"
NOW = 1_700_000_000.0

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
queries = (
    st.none()
    | texts
    | st.builds(
        DetailedQuery,
        link=st.none() | texts,
        ip=st.none() | texts,
        ips=st.lists(texts, max_size=4).map(tuple),
        fields=st.lists(st.sampled_from(MasterField), max_size=4).map(tuple),
    )
)
requests = st.builds(
    Request, type=st.sampled_from(RequestType), query=queries, rsalt=texts, order=st.booleans()
)
answers = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
numbers = st.integers(0, 2**31)
replies = st.builds(
    Reply,
    status=st.sampled_from(Status),
    answer=answers,
    serial=numbers,
    order=st.none() | st.builds(LogOrder, numbers, numbers),
)


@given(requests)
def test_requests_parse_back(request: Request) -> None:
    assert parse_request(render_request(request)) == request


@given(replies)
def test_replies_parse_back(reply: Reply) -> None:
    assert parse_reply(render_reply(reply)) == reply


@given(st.builds(Envelope, texts, texts, texts))
def test_envelopes_parse_back(envelope: Envelope) -> None:
    assert parse_envelope(render_envelope(envelope)) == envelope


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda noise: MAGIC + noise))
def test_noise_is_dropped(noise: bytes) -> None:
    assert isinstance(Door(KEY).admit(noise, NOW), str)


@given(requests, st.data())
def test_a_changed_byte_is_noticed(request: Request, data: st.DataObject) -> None:
    msg = render_request(request)
    datagram = render_envelope(Envelope(msg, str(int(NOW)), sign(KEY, str(int(NOW)), msg)))
    assert Door(KEY).admit(datagram, NOW) == request
    place = data.draw(st.integers(0, len(datagram) - 1))
    changed = bytearray(datagram)
    changed[place] ^= data.draw(st.integers(1, 255))

    admitted = Door(KEY).admit(bytes(changed), NOW)

    # The only free choice is how JSON writes the same envelope, say an escape's capital digits.
    assert isinstance(admitted, str) or parse_envelope(bytes(changed)) == parse_envelope(datagram)
