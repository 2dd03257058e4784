"""Events that are read one at a time, by what earlier ones looked like: the answer is always protobuf's."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast.events import Decoder
from runcast.events.meaning import NotAnEventError, read_event
from runcast.events.scalars import TagTable
from runcast.events.single import Points, SingleReader
from runcast.events.writer import _scalar_record


def varint(number, padding=0):
    """`number` as a varint, with bytes that it does not need."""
    encoded = bytearray()
    while number > 0x7F or padding:
        padding -= number <= 0x7F
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def sized(key, data):
    return bytes([key]) + varint(len(data)) + data


def joined(parts):
    return parts.map(b"".join)


DOUBLES = st.floats().map(struct.Struct("<d").pack)
SINGLES = st.floats(width=32).map(struct.Struct("<f").pack)
VARINTS = st.one_of(
    st.integers(0, 300), st.integers(0, 2**64 - 1), st.sampled_from([0, 127, 128, 2**63, 2**64 - 1])
)
PADDED = st.builds(varint, VARINTS.filter(lambda n: n < 2**40), st.integers(0, 3)) | VARINTS.map(varint)
TAGS = st.sampled_from([b"a", b"loss", b"loss/train", "précision".encode()])
UNKNOWN = st.sampled_from([b"\x7a\x03new", b"\x50\x05", b"\x65abcd", b"\xa1\x06abcdefgh"])
METADATA = st.sampled_from([b"\x0a\x09\x0a\x07scalars", b"\x0a\x07\x0a\x05other", b"\x12\x01x", b""])
TENSOR_FIELDS = st.one_of(
    st.sampled_from([b"\x08\x01", b"\x08\x02", b"\x12\x00", b"\x12\x02\x12\x00"]),
    SINGLES.map(lambda value: b"\x2a\x04" + value),
    SINGLES.map(lambda value: b"\x22\x04" + value),
    SINGLES.map(lambda value: b"\x2d" + value),
    DOUBLES.map(lambda value: b"\x32\x08" + value),
    DOUBLES.map(lambda value: b"\x31" + value),
)
TENSORS = joined(st.lists(TENSOR_FIELDS, max_size=4)) | SINGLES.map(
    lambda value: b"\x08\x01\x12\x00\x2a\x04" + value
)
VALUE_FIELDS = st.one_of(
    TAGS.map(lambda tag: sized(0x0A, tag)),
    TAGS.map(lambda tag: sized(0x3A, tag)),
    SINGLES.map(lambda value: b"\x15" + value),
    DOUBLES.map(lambda value: b"\xc1\x3e" + value),
    TENSORS.map(lambda tensor: sized(0x42, tensor)),
    METADATA.map(lambda metadata: sized(0x4A, metadata)),
    UNKNOWN,
)
USUAL_VALUES = st.builds(
    lambda tag, rounded, rest: sized(0x0A, tag) + b"\x15" + rounded + rest,
    TAGS,
    SINGLES,
    st.just(b"") | DOUBLES.map(lambda value: b"\xc1\x3e" + value),
)
VALUES = USUAL_VALUES | joined(st.lists(VALUE_FIELDS, max_size=4))
EVENT_FIELDS = st.one_of(
    DOUBLES.map(lambda wall_time: b"\x09" + wall_time),
    PADDED.map(lambda step: b"\x10" + step),
    VALUES.map(lambda value: sized(0x2A, sized(0x0A, value))),
    st.lists(VALUES, max_size=3).map(lambda values: sized(0x2A, b"".join(sized(0x0A, v) for v in values))),
    st.sampled_from([b"\x1a\x0dbrain.Event:2", b"\x3a\x02\x08\x01", b"\x15abcd", b"\x08\x05"]),
    UNKNOWN,
)
USUAL_EVENTS = st.builds(
    lambda wall_time, step, value: b"\x09" + wall_time + step + sized(0x2A, sized(0x0A, value)),
    DOUBLES,
    st.just(b"") | PADDED.map(lambda step: b"\x10" + step),
    VALUES,
)
PAYLOADS = USUAL_EVENTS | joined(st.lists(EVENT_FIELDS, max_size=5))


def said(payload):
    """What protobuf says: the points, bit by bit, and what else there is."""
    try:
        meaning = read_event(payload)
    except NotAnEventError:
        return [], []
    return [
        (tag, meaning.step, struct.pack("<d", meaning.wall_time), repr(value))
        for tag, value in meaning.points
    ], meaning.summaries


def read(decoder, data):
    batch = decoder.decode(data)
    assert (batch.stop, batch.pending) == (len(data), "")
    scalars = batch.scalars
    assert list(scalars.tags) == sorted({scalars.tags[tag] for tag in scalars.tag.tolist()})
    points = [
        (scalars.tags[tag], step, struct.pack("<d", wall_time), repr(value))
        for tag, step, wall_time, value in zip(
            scalars.tag.tolist(),
            scalars.step.tolist(),
            scalars.wall_time.tolist(),
            scalars.value.tolist(),
            strict=True,
        )
    ]
    return batch, points


def check(decoder, payloads, record):
    records = [record(payload) for payload in payloads]
    batch, points = read(decoder, b"".join(records))
    expected = [said(payload) for payload in payloads]
    assert points == [point for points, _ in expected for point in points]
    assert [(each.tag, each.plugin) for each in batch.summaries] == [
        each for _, summaries in expected for each in summaries
    ]
    assert batch.records == len(payloads)
    starts = [sum(map(len, records[:n])) for n in range(len(records))]
    assert batch.scalar_records.tolist() == [
        [start, len(one)] for start, one, (points, _) in zip(starts, records, expected, strict=True) if points
    ]


@settings(max_examples=300)
@given(data=st.data())
def test_any_events_a_few_at_a_time(record, data):
    """Fields in any order, twice, unknown, of another type, with varints of any size: read as protobuf reads them."""
    decoder = Decoder()
    payloads = data.draw(st.lists(PAYLOADS, min_size=1, max_size=6))
    again = data.draw(st.lists(st.sampled_from(payloads), max_size=12))
    for size in data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=6)):
        check(decoder, (payloads + again)[:size], record)
        payloads, again = (payloads + again)[size:] or payloads, []


@settings(max_examples=300)
@given(data=st.data())
def test_events_that_differ_a_little_from_a_known_one(record, data):
    """Whichever bytes of a known event change, what it says is what protobuf says."""
    decoder = Decoder()
    known = data.draw(USUAL_EVENTS.filter(lambda payload: len(said(payload)[0]) == 1))
    check(decoder, [known, known], record)
    for _ in range(20):
        changed = bytearray(known)
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(known) - 1))] = data.draw(st.integers(0, 255))
        check(decoder, [bytes(changed)], record)
        check(decoder, [known, bytes(changed), known], record)


@settings(max_examples=100)
@given(data=st.data())
def test_a_flipped_bit_in_a_known_event(record, data):
    """A damaged record is noticed, though its like is known, and those before it are read."""
    good = record(data.draw(USUAL_EVENTS.filter(lambda payload: len(said(payload)[0]) == 1)))
    decoder = Decoder()
    decoder.decode(good)
    damaged = bytearray(good)
    damaged[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    batch = decoder.decode(good + good + bytes(damaged) + good)
    assert (batch.records, batch.stop) == (2, 2 * len(good))
    assert batch.pending in {"checksum", "framing"}
    batch = decoder.decode(good + good + bytes(damaged) + good, skip=True)
    assert (batch.records, batch.pending, len(batch.skipped)) == (3, "", 1)


@pytest.mark.parametrize("value", [0.5, 0.1], ids=["float32", "exact"])
@pytest.mark.parametrize("step", [0, 1, 127, 128, 2**14, 2**21 - 1, 2**28, 2**40, 2**63 - 1, -1, -(2**63)])
def test_known_events_are_read_without_protobuf(step, value):
    """What a run logs for each step is known from its first time on, whatever the size of the step."""
    reader, tags, points = SingleReader(), TagTable(), Points()
    reader.learn(_scalar_record("loss", value, step, 1.5), tags.number("loss"))
    near = step and step ^ 2  # as long as the other
    data = _scalar_record("loss", value, step, 2.5) + _scalar_record("loss", value + 1, near, 2.5)
    assert reader.read(data, 0, 100, points) == len(data)
    assert points.step == [step, near]
    assert points.value == [value, value + 1]
    assert points.wall_time == [2.5, 2.5]
    assert points.records[0] == 100
    for size in range(len(data) // 2):
        assert SingleReader().read(data[:size], 0, 0, points) == reader.read(data[:size], 0, 0, points) == 0
