"""The fast path: whatever mixture of events a file holds, columns say exactly what protobuf says."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2

from runcast.events import Decoder
from runcast.events.framing import follow
from runcast.events.layout import layout_of
from runcast.events.meaning import NotAnEventError, read_event
from runcast.events.scalars import NOT_READ, ScalarReader, TagTable

STEPS = st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1))
FLOATS = st.floats(width=32)


def simple(tag, step, wall_time, value):
    event = event_pb2.Event(wall_time=wall_time, step=step)
    event.summary.value.add(tag=tag, simple_value=value)
    return event


def tensor(dtype, field, metadata):
    def make(tag, step, wall_time, value):
        event = event_pb2.Event(wall_time=wall_time, step=step)
        entry = event.summary.value.add(tag=tag)
        entry.tensor.dtype = dtype
        entry.tensor.tensor_shape.SetInParent()
        getattr(entry.tensor, field).append(value)
        if metadata:
            entry.metadata.plugin_data.plugin_name = metadata
        return event

    return make


def several(tag, step, wall_time, value):
    event = simple(tag, step, wall_time, value)
    event.summary.value.add(tag=tag + "2", simple_value=-value)
    return event


def unnamed(tag, step, wall_time, value):
    event = event_pb2.Event(wall_time=wall_time, step=step)
    event.summary.value.add(node_name=tag, simple_value=value)
    return event


FORMS = [
    simple,
    tensor(1, "float_val", "scalars"),
    tensor(2, "double_val", "scalars"),
    tensor(2, "double_val", ""),
    tensor(1, "float_val", "other"),
    several,
    unnamed,
]


@settings(max_examples=60)
@given(data=st.data())
def test_any_mixture(check, record, data):
    """Forms, tags, steps and values in any order, many of each."""
    tags = data.draw(st.lists(st.text(max_size=30), min_size=1, max_size=6))
    draws = data.draw(
        st.lists(
            st.tuples(st.sampled_from(FORMS), st.sampled_from(tags), STEPS, st.floats(), FLOATS),
            min_size=1,
            max_size=20,
        )
    )
    rng = random.Random(data.draw(st.integers(0, 1000)))
    events = []
    for form, tag, step, wall_time, value in draws * 6:
        nearby = max(-(2**63), min(2**63 - 1, step + rng.randrange(-300, 300)))
        events.append(form(tag, nearby, wall_time if rng.random() < 0.5 else rng.random(), value))
    rng.shuffle(events)
    check(b"".join(record(event.SerializeToString()) for event in events))


@pytest.mark.parametrize("form", FORMS[:4])
@pytest.mark.parametrize("tags", [1, 30, 700])
def test_columns_are_really_used(form, tags, record):
    """Plain scalars are all read by columns, from the first batch on, not only correctly."""
    data = b"".join(
        record(form(f"group/{n:03d}", step, 1e9 + step, n / 3).SerializeToString())
        for step in range(200)
        for n in range(tags)
    )
    reader = ScalarReader(TagTable())
    view = memoryview(data)
    columns, _ = reader.read(view, follow(view, 0, len(view)))
    assert (columns.tag == NOT_READ).sum() == 0


def read_by_columns(data):
    """How many records of `data` columns did not read, how many they read with one point, and the points of the others."""
    view = memoryview(data)
    columns, several = ScalarReader(TagTable()).read(view, follow(view, 0, len(view)))
    return (columns.tag == NOT_READ).sum(), (columns.tag >= 0).sum(), len(several.ordinals)


@pytest.mark.parametrize("form", FORMS[:4])
def test_tags_that_never_repeat_are_read_by_columns(form, record):
    """It takes no repetition: every event may have a tag of its own."""
    events = [form(f"tag {n:06d}", n, 1e9 + n, n / 3) for n in range(5000)]
    assert read_by_columns(b"".join(record(event.SerializeToString()) for event in events)) == (0, 5000, 0)


def of_several(tags, step, entries):
    """Make an event with a value for each tag, of each form in turn."""
    event = event_pb2.Event(wall_time=1e9 + step / 7, step=step)
    for place, tag in enumerate(tags):
        event.summary.value.append(
            entries[place % len(entries)](tag, 0, 0.0, step / 3 - place).summary.value[0]
        )
    return event


@pytest.mark.parametrize("forms", [FORMS[:1], FORMS[:3]])
def test_events_of_several_values_are_read_by_columns(check, forms, record):
    """What loops log at once, in one event, whatever the selection and order of the tags."""
    rng = random.Random(5)
    tags = [f"metric/{'x' * (n % 9)}{n}" for n in range(50)]
    events = [of_several(rng.sample(tags, 1 + n % 6), n, forms) for n in range(3000)]
    data = b"".join(record(event.SerializeToString()) for event in events)
    unread, single, points = read_by_columns(data)
    assert (unread, single, points) == (0, 500, 500 * (2 + 3 + 4 + 5 + 6))
    check(data)


def test_values_among_others_in_one_event(check, record):
    """An event that holds points and something else keeps all of them, in order."""
    forms = [simple, simple, tensor(1, "float_val", "other")]
    events = [of_several("abcd"[: 1 + n % 4], n, forms) for n in range(1, 500)]
    check(b"".join(record(event.SerializeToString()) for event in events))


def test_metadata_of_each_tag(check, record):
    """Hundreds of tags, each with a display name and a description of its own."""
    events = []
    for n in range(3000):
        event = tensor(1, "float_val", "scalars")(f"tag {n % 600:03d}", n, 1.0, n / 3)
        event.summary.value[0].metadata.display_name = f"name {n % 600:03d}"
        events.append(event)
    check(b"".join(record(event.SerializeToString()) for event in events))


@pytest.mark.parametrize("count", [1, 3])
def test_tags_that_are_no_text(count, record, points):
    """A tag that is not valid UTF-8 makes no event, and costs no other."""
    events = [of_several([f"tag-{n}-{k}" for k in range(count)], n, [simple]) for n in range(100)]
    payloads = [event.SerializeToString() for event in events]
    payloads[50] = payloads[50].replace(b"tag", b"t\xffg")
    batch = Decoder().decode(
        b"".join(map(record, payloads)) + record(simple("x", 1, 1.0, 1.0).SerializeToString()) * 200
    )
    assert (batch.records, len(batch.skipped), len(points(batch))) == (300, 1, 99 * count + 200)


def test_a_wrong_checksum_among_events_of_several_values(record, points):
    """Everything before the damaged event is read, nothing after it; passing over it loses it alone."""
    records = [record(of_several("abc"[: 1 + n % 3], n, [simple]).SerializeToString()) for n in range(3000)]
    data = bytearray(b"".join(records))
    data[sum(map(len, records[:2000])) + len(records[2000]) - 6] ^= 1
    batch = Decoder().decode(bytes(data))
    assert (batch.records, batch.pending) == (2000, "checksum")
    assert len(points(batch)) == sum(1 + n % 3 for n in range(2000))
    assert len(points(Decoder().decode(bytes(data), skip=True))) == 6000 - (1 + 2000 % 3)


def mangled(payload, rng):
    """Change an event's bytes here and there: its keys, sizes and numbers rather than its contents."""
    changed = bytearray(payload)
    kind = rng.randrange(4)
    if kind == 0:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 1:
        at = rng.randrange(len(changed))
        changed[at:at] = rng.choice([b"\x80\x00", b"\x10\x05", b"\x0a\x00", b"\x15\0\0\0\0"])
    elif kind == 2:
        changed[rng.randrange(min(40, len(changed)))] ^= 1 << rng.randrange(8)
    else:
        at = changed.index(b"\x2a") + 1
        changed[at : at + 1] = bytes([changed[at] | 0x80, 0])  # a size that takes more bytes than it needs
    return bytes(changed)


@pytest.mark.parametrize("seed", range(5))
def test_mangled_events_mean_what_protobuf_says(seed, record, points):
    """Events that are nearly plain, among those that are, by columns and one by one."""
    rng = random.Random(seed)
    forms = [simple, simple, *FORMS[1:5]]
    payloads = []
    for n in range(4000):
        tags = [rng.choice(["a", "é/ü", "x" * 40, "y" * 130]) for _ in range(rng.choice([1, 1, 2, 4]))]
        event = of_several(tags, rng.choice([0, 1, 127, 128, 2**40, -1, n]), rng.sample(forms, 3))
        payload = event.SerializeToString()
        payloads.append(mangled(payload, rng) if rng.random() < 0.3 else payload)
    expected, failed = [], 0
    for payload in payloads:
        try:
            meaning = read_event(payload)
        except NotAnEventError:
            failed += 1
            continue
        bits = struct.pack("<d", meaning.wall_time)
        expected += [(tag, meaning.step, bits, struct.pack("<d", value)) for tag, value in meaning.points]
    batch = Decoder().decode(b"".join(map(record, payloads)))
    assert (batch.records, len(batch.skipped)) == (4000, failed)
    assert failed > 100
    assert points(batch) == expected


def test_tags_that_come_later(check, record):
    """Tags that appear in later batches are learned then."""
    decoder = Decoder()
    for batch in range(5):
        check(
            b"".join(
                record(simple(f"batch/{batch}/{n}", step, 1.0, n).SerializeToString())
                for step in range(40)
                for n in range(20)
            ),
            decoder,
        )


def test_thousands_of_tags_that_never_repeat(check, record):
    """Tags made up for each point are read all the same."""
    check(b"".join(record(simple(f"tag {n:06d}", n, 1.0, n).SerializeToString()) for n in range(5000)))


def test_what_was_learned_is_forgotten_before_it_fills_the_memory(check, record, monkeypatch):
    """A decoder that has seen very many tags starts afresh and reads on correctly."""
    monkeypatch.setattr("runcast.events.decode._MOST_TAGS", 50)
    decoder = Decoder()
    for batch in range(3):
        check(
            b"".join(
                record(simple(f"{batch}/{n}", step, 1.0, n).SerializeToString())
                for n in range(100)
                for step in range(5)
            ),
            decoder,
        )


@pytest.mark.parametrize("extra", [b"\x32\x00", b"\x10\x05", b"\x09" + bytes(8), b"\x52\x00", b"\x1a\x01x"])
def test_unusual_fields_are_left_to_protobuf(check, record, extra):
    """Fields that come twice, out of order or unexpected change what an event says, and are read as protobuf reads them."""
    payloads = [simple("x", step, 1.0, step).SerializeToString() + extra for step in range(1, 100)]
    assert layout_of(payloads[0]) is None
    check(b"".join(map(record, payloads)))


def test_long_varints(check, record):
    """Steps that are written with more bytes than they need are read as protobuf reads them."""
    plain = simple("x", 5, 1.0, 2.0).SerializeToString()
    payloads = [
        plain.replace(b"\x10\x05", b"\x10" + bytes([0x80 | n % 128]) + b"\x80" * size + last)
        for size in range(9)
        for n in range(20)
        for last in (b"\x00", b"\x01")
    ]
    check(b"".join(map(record, payloads)))


def test_a_wrong_checksum_among_columns(record, points):
    """One wrong value among thousands is noticed."""
    records = [record(simple("x", step, 1.0, step).SerializeToString()) for step in range(3000)]
    data = bytearray(b"".join(records))
    position = sum(map(len, records[:2000])) + len(records[2000]) - 6  # in the value
    data[position] ^= 1
    batch = Decoder().decode(bytes(data))
    assert (batch.records, batch.pending) == (2000, "checksum")
    assert len(points(Decoder().decode(bytes(data), skip=True))) == 2999


def test_memoryviews_and_windows(points, record):
    """Data larger than one pass, at any alignment, from bytes or a view, reads the same."""
    records = [record(simple(f"tag{n % 7}", n, n * 0.5, n).SerializeToString()) for n in range(60_000)]
    data = b"".join(records)
    expected = points(Decoder().decode(data))
    assert len(expected) == 60_000
    for shift in (1, 2, 3):
        view = memoryview(bytes(shift) + data)[shift:]
        assert points(Decoder().decode(view)) == expected
