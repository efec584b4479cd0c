"""Laws of the record log: what was written whole is read back; damage is always found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.protocols.codec import Json
from gantry.protocols.identity import Epoch
from gantry.protocols.records import (
    ORIGIN,
    SECTOR_BYTES,
    CorruptRecord,
    Index,
    Position,
    decode_log,
    encode_records,
    first_line,
)

PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
EPOCH = Epoch(3)


def written(payloads: list[Json]) -> bytes:
    lines, _ = encode_records(ORIGIN, EPOCH, payloads)
    return first_line(ORIGIN) + lines


@given(st.lists(PAYLOADS, max_size=6))
def test_what_was_written_is_read_back(payloads: list[Json]) -> None:
    _, records = encode_records(ORIGIN, EPOCH, payloads)
    data = written(payloads)

    log = decode_log(data)

    assert log.records == records
    assert [record.payload for record in records] == payloads
    assert [record.index for record in records] == list(range(1, len(payloads) + 1))
    assert (log.valid_bytes, log.torn_bytes) == (len(data), 0)


@given(st.lists(PAYLOADS, min_size=1, max_size=3), st.integers(0, 4))
def test_a_log_cut_short_anywhere_keeps_every_whole_record(
    payloads: list[Json], room_bytes: int
) -> None:
    data = written(payloads)
    whole = decode_log(data)
    for size in range(len(first_line(ORIGIN)), len(data) + 1):
        # All but the last byte written and room made for that one is told as damage: it is what a
        # damaged end looks like, and loud is right where it could be either.
        room = b"" if size + 1 in whole.ends else b"\0" * room_bytes
        cut = decode_log(data[:size] + room)
        kept = sum(end <= size for end in whole.ends)
        assert cut.records == whole.records[:kept]
        assert cut.valid_bytes == (0, len(first_line(ORIGIN)), *whole.ends)[kept + 1]


@given(st.lists(PAYLOADS, min_size=1, max_size=3), st.data())
def test_no_damaged_byte_goes_unnoticed(payloads: list[Json], data: st.DataObject) -> None:
    good = written(payloads)
    place = data.draw(st.integers(0, len(good) - 1))
    # A byte that becomes zero may look like a sector that never was written.
    flipped = data.draw(st.integers(1, 255).filter(lambda bits: bits != good[place]))
    bad = bytearray(good)
    bad[place] ^= flipped

    with pytest.raises(CorruptRecord) as caught:
        decode_log(bytes(bad))

    # A first line that names another start is noticed at the first record, which then does not fit.
    assert caught.value.offset <= max(place, good.index(b"\n") + 1)


@given(
    st.lists(st.text("abc", min_size=1, max_size=900), min_size=1, max_size=6),
    st.integers(0, 6),
    st.data(),
)
def test_sectors_that_were_never_written_hide_no_record_that_was_flushed(
    payloads: list[Json], flushed: int, data: st.DataObject
) -> None:
    whole = decode_log(written(payloads))
    durable = (len(first_line(ORIGIN)), *whole.ends)[min(flushed, len(payloads))]
    content = bytearray(written(payloads))
    for start in range(durable // SECTOR_BYTES * SECTOR_BYTES, len(content), SECTOR_BYTES):
        if data.draw(st.booleans()):
            begin, end = max(start, durable), min(start + SECTOR_BYTES, len(content))
            content[begin:end] = bytes(end - begin)

    log = decode_log(bytes(content))

    assert log.records == whole.records[: len(log.records)]
    assert len(log.records) >= min(flushed, len(payloads))
    assert log.valid_bytes + log.torn_bytes == len(content)


def test_a_record_of_another_history_is_not_taken_for_the_next_one() -> None:
    ours = written(["ours"])
    _, records = encode_records(ORIGIN, EPOCH, ["theirs"])
    line, _ = encode_records(records[0].position, EPOCH, ["next"])

    with pytest.raises(CorruptRecord, match=r"record 2 at byte \d+ .* checksum is wrong"):
        decode_log(ours + line)


def test_a_log_may_start_after_a_snapshot() -> None:
    _, records = encode_records(ORIGIN, EPOCH, ["a", "b"])
    after = records[1].position
    line, more = encode_records(after, Epoch(4), ["c"])

    log = decode_log(first_line(after) + line)

    assert log.start == after == Position(Index(2), records[1].checksum)
    assert log.records == more
    assert log.end.index == 3


@pytest.mark.parametrize(
    "data", [b"", b"gantry-log 2 0 " + b"0" * 32 + b"\n", b"{}\n", b"gantry-log 1 0"]
)
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptRecord, match="no log of a known version"):
        decode_log(data)
