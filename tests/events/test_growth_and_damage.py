"""Files that grow while they are read, and files that are damaged."""

from __future__ import annotations

import itertools
import struct
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2

from runcast.events import Decoder, decode, framing, resync

DECODER = Decoder()


def scalar(tag, step, value):
    event = event_pb2.Event(wall_time=1e9 + step, step=step)
    event.summary.value.add(tag=tag, simple_value=value)
    return event.SerializeToString()


@pytest.fixture(scope="module")
def file(record):
    """500 scalars of 20 tags, with a few texts and long records among them."""
    parts = [record(event_pb2.Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())]
    for step in range(25):
        parts += [record(scalar(f"tag/{n}", step * 10, n / 7)) for n in range(20)]
        image = event_pb2.Event(step=step)
        image.summary.value.add(tag="image").image.encoded_image_string = bytes(40 * step)
        parts.append(record(image.SerializeToString()))
    return b"".join(parts)


@pytest.fixture(scope="module")
def whole(file):
    return DECODER.decode(file)


def check_prefix(points, batch, whole, boundaries):
    """The batch is exactly the whole records of a prefix."""
    taken = boundaries.index(batch.stop)
    assert batch.records == taken
    assert points(batch) == points(whole)[: len(points(batch))]
    assert len(batch.scalars.step) + len(batch.summaries) == max(0, taken - 1)


def test_a_file_cut_anywhere(file, whole, points, boundaries):
    """A file that ends in mid-record gives its whole records, and waits at the first that is not."""
    ends = boundaries(file)
    for size in (*range(400), *range(400, len(file), 61)):
        batch = DECODER.decode(file[:size], skip=bool(size % 2))
        check_prefix(points, batch, whole, ends)
        assert batch.stop == max(end for end in ends if end <= size)
        assert batch.pending == ("" if batch.stop == size else "incomplete")
        assert batch.skipped == ()


@settings(max_examples=60)
@given(data=st.data())
def test_growth_in_any_steps(file, whole, points, data):
    """However a file grows between two looks, the points are the same, once each and in order."""
    sizes = data.draw(st.lists(st.integers(0, len(file)), max_size=12).map(sorted))
    collected, stop, summaries = [], 0, []
    for size in [*sizes, len(file)]:
        batch = DECODER.decode(memoryview(file)[stop:size], stop) if size > stop else None
        if batch is None:
            continue
        assert batch.start == stop
        stop = batch.stop
        collected += points(batch)
        summaries += batch.summaries
    assert collected == points(whole)
    assert tuple(summaries) == whole.summaries
    assert stop == len(file)


def test_growth_byte_by_byte(file, whole, points):
    """The same when the file grows by single bytes."""
    collected, stop = [], 0
    for size in range(3000):
        batch = DECODER.decode(file[stop:size], stop)
        stop = batch.stop
        collected += points(batch)
    assert len(collected) > 50
    assert collected == points(whole)[: len(collected)]


@settings(max_examples=150)
@given(data=st.data())
def test_a_flipped_bit_loses_one_record(file, whole, points, boundaries, data):
    """A damaged record stops the reader; passed over, it alone is missing, and nothing false is read."""
    position = data.draw(st.integers(0, len(file) - 1))
    damaged = bytearray(file)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    ends = boundaries(file)
    hit = max(end for end in ends if end <= position)
    batch = DECODER.decode(bytes(damaged))
    assert batch.stop == hit
    assert batch.pending in {"checksum", "framing"}
    check_prefix(points, batch, whole, ends)

    passed = DECODER.decode(bytes(damaged), skip=True)
    if hit == ends[-2]:
        assert (passed.stop, passed.skipped) == (hit, ())
        return
    assert (passed.stop, passed.pending, passed.records) == (len(file), "", len(ends) - 2)
    assert [(skip.offset, skip.offset + skip.length) for skip in passed.skipped] == [
        (hit, ends[ends.index(hit) + 1])
    ]
    without = file[:hit] + file[ends[ends.index(hit) + 1] :]
    assert points(passed) == points(DECODER.decode(without))


def flip_anything(file, ends, data):
    """Overwrite stretches of the file, but for its last record; what it is then, and which records still are what they were."""
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(1, 12))):
        start = data.draw(st.integers(0, ends[-2] - 1))
        garbage = data.draw(st.binary(min_size=1, max_size=200))[: ends[-2] - start]
        damaged[start : start + len(garbage)] = garbage
    kept = [span for span in itertools.pairwise(ends) if damaged[slice(*span)] == file[slice(*span)]]
    return bytes(damaged), kept


@settings(max_examples=100)
@given(data=st.data())
def test_damage_everywhere(file, points, boundaries, data):
    """Whatever is overwritten, every record that was not touched is read, once, in order."""
    damaged, kept = flip_anything(file, boundaries(file), data)
    batch = DECODER.decode(damaged, skip=True)
    assert points(batch) == points(DECODER.decode(b"".join(damaged[slice(*span)] for span in kept)))
    assert batch.stop == len(file)
    assert batch.stop - sum(skip.length for skip in batch.skipped) == sum(
        stop - start for start, stop in kept
    )


@settings(max_examples=100)
@given(data=st.data())
def test_damage_in_a_file_that_grows(file, points, boundaries, data):
    """The same when it is read piece by piece: every byte is taken or passed over once, and no record that was not touched is lost."""
    damaged, kept = flip_anything(file, boundaries(file), data)
    sizes = data.draw(st.lists(st.integers(0, len(file)), max_size=12).map(sorted))
    collected, stop, skipped = [], 0, []
    for size in [*sizes, len(file)]:
        batch = DECODER.decode(memoryview(damaged)[stop : max(size, stop)], stop, skip=True)
        assert batch.start == stop <= batch.stop
        stop = batch.stop
        collected += points(batch)
        skipped += batch.skipped
    assert stop == len(file)
    assert collected == points(DECODER.decode(b"".join(damaged[slice(*span)] for span in kept)))
    between = [(left, right) for (_, left), (right, _) in itertools.pairwise([(0, 0), *kept, (stop, 0)])]
    lost = [(left, right) for left, right in between if left < right]
    edges = {edge for skip in skipped for edge in (skip.offset, skip.offset + skip.length)}
    assert {edge for span in lost for edge in span} <= edges
    assert sum(skip.length for skip in skipped) == sum(right - left for left, right in lost)


def test_every_byte_flipped_in_turn(points, boundaries, record):
    """One wrong byte, wherever it is: its record is passed over and listed with its place, its neighbours are read."""
    text = event_pb2.Event(step=3)
    text.summary.value.add(tag="words").tensor.string_val.append(b"x" * 300)
    small = b"".join(
        [
            record(event_pb2.Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString()),
            *(record(scalar("x", step, step)) for step in range(6)),
            record(text.SerializeToString()),
            *(record(scalar("y", step, step)) for step in range(4)),
        ]
    )
    ends = boundaries(small)
    for position in range(ends[-2]):
        for change in (0x01, 0xFF):
            damaged = bytearray(small)
            damaged[position] ^= change
            hit = max(end for end in ends if end <= position)
            after = ends[ends.index(hit) + 1]
            batch = DECODER.decode(bytes(damaged), 7, skip=True)
            assert (batch.stop, batch.pending) == (7 + len(small), "")
            assert [(skip.offset, skip.length) for skip in batch.skipped] == [(7 + hit, after - hit)]
            assert points(batch) == points(DECODER.decode(small[:hit] + small[after:]))


def test_lost_bytes_in_the_middle(file, points):
    """Bytes that never arrived cost the records they belonged to and no other."""
    damaged = file[:5000] + file[5037:]
    batch = DECODER.decode(damaged, skip=True)
    assert batch.stop == len(damaged)
    assert len(points(batch)) >= 498


def test_a_torn_record_before_a_restart(file, whole, points, record):
    """A record that a crash cut short, with a new process's records right behind it, is passed over alone."""
    torn = record(scalar("torn", 1, 1.0) + bytes(300))[:200]
    batch = DECODER.decode(file + torn + file, skip=True)
    assert points(batch) == points(whole) * 2
    assert [skip.length for skip in batch.skipped] == [200]


def test_zeros_at_the_end_wait(file):
    """Some file systems show a file's new size before its bytes: those zeros are incomplete, not wrong."""
    for size in (1, 12, 16, 5000, 100_000):
        for skip in (False, True):
            batch = DECODER.decode(file + bytes(size), skip=skip)
            assert (batch.stop, batch.pending, batch.skipped) == (len(file), "incomplete", ())


def test_zeros_become_bytes(file, whole, points, boundaries):
    """A file whose size was there before its bytes is read on when they come, whatever part of them comes first."""
    ends = boundaries(file)
    for start in (ends[3], ends[3] + 5, ends[3] + 12, ends[300], ends[300] + 20):
        early = file[:start] + bytes(len(file) - start)
        batch = DECODER.decode(early)
        assert batch.stop == max(end for end in ends if end <= start)
        assert batch.pending in {"incomplete", "checksum", "framing"}
        assert batch.skipped == ()
        later = DECODER.decode(file[batch.stop :], batch.stop)
        assert points(batch) + points(later) == points(whole)


def test_a_hole_of_zeros(file, whole, points):
    """Zeros with records behind them are passed over when that is asked for."""
    damaged = file + bytes(5000) + file
    assert DECODER.decode(damaged).pending == "framing"
    batch = DECODER.decode(damaged, skip=True)
    assert points(batch) == points(whole) * 2
    assert [(skip.offset, skip.length) for skip in batch.skipped] == [(len(file), 5000)]


def test_a_wrong_end_is_never_passed_over(file):
    """What is wrong at the very end may still be on its way."""
    for damage in (b"garbage that is no header", file[:40] + b"x" * 40):
        batch = DECODER.decode(file + damage, skip=True)
        assert batch.stop >= len(file)
        assert batch.pending == "framing"
        assert batch.skipped == ()
    wrong = bytearray(file)
    wrong[-1] ^= 1
    assert DECODER.decode(bytes(wrong), skip=True).pending == "checksum"


def test_an_event_file_inside_an_event(file, whole, points, record):
    """Records inside a record's payload are its content, not records."""
    text = event_pb2.Event(step=1)
    text.summary.value.add(tag="file").image.encoded_image_string = file
    batch = DECODER.decode(file + record(text.SerializeToString()) + file)
    assert (batch.pending, batch.skipped) == ("", ())
    assert points(batch) == points(whole) * 2


@settings(max_examples=300)
@given(data=st.binary(max_size=20_000), skip=st.booleans())
def test_any_bytes(data, skip):
    """Bytes that are no event file are read as nothing, without an error."""
    batch = DECODER.decode(data, 5, skip=skip)
    assert batch.start == 5
    assert batch.stop <= 5 + len(data)


def lying_header(record, length):
    """A valid header of a record that is not there."""
    field = struct.pack("<Q", length)
    return field + record(field)[-4:]  # a record ends with its payload's checksum


@pytest.mark.parametrize(
    "attack",
    [
        lambda record, good: lying_header(record, 60_000) * 20_000 + good,
        lambda record, good: (lying_header(record, 60_000) + good) * 10_000,
        lambda record, good: (b"x" + good) * 4_000,
        lambda record, good: (good[:-1] + b"x") * 20_000 + good,
        lambda record, good: (good + good[:-1] + b"x") * 10_000,
        lambda record, good: bytes(3_000_000) + good,
        lambda record, good: b"\1" * 3_000_000 + good,
    ],
    ids=[
        "headers that lie",
        "headers that lie among good",
        "shifts",
        "all wrong",
        "half wrong",
        "zeros",
        "ones",
    ],
)
def test_hostile_files_take_no_more_than_linear_work(attack, record, monkeypatch):
    """A file made to be slow is read with so much work for each byte and no more, where trying every way would take hours."""
    good = record(scalar("x", 1, 1.0))
    data = attack(record, good)
    work = Counter()

    def counted(module, name, size):
        function = getattr(module, name)

        def call(*arguments):
            work[name] += size(*arguments)
            return function(*arguments)

        monkeypatch.setattr(module, name, call)

    counted(framing, "masked_crc32c", len)
    counted(resync, "_headers", lambda view, start, stop: stop - start)
    counted(decode, "follow", lambda view, start, limit: limit - start)
    batch = Decoder().decode(data, skip=True)
    assert batch.records > 0
    assert work.total() <= 120 * len(data), work
