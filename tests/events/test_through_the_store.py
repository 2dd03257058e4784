"""What is damaged, unknown or still to come, all the way into a store: what a user finds there afterwards."""

from __future__ import annotations

import random

import pytest
from tensorboard.compat.proto import event_pb2

from runcast.events import Decoder
from runcast.run.record import RunRecord
from runcast.store.local import LocalStore

PATH = "files/logs/train/events.out.tfevents.1.host"


@pytest.fixture
def store(tmp_path):
    with LocalStore(tmp_path / "store") as store:
        yield store


def new_run(store, run):
    store.create(RunRecord(run, project="p", name=run, state="running", created=1e9))
    return run


def append_until_stuck(store, run, data, sizes, *, final):
    """Append what is there at each size, from what the store has, as the recorder does; return what was passed over."""
    skipped = []
    for size in sizes:
        stop = store.size(run, PATH)
        answer = store.append(run, PATH, stop, data[stop : max(size, stop)], final=final)
        if answer.batch is not None:
            skipped += [(skip.offset, skip.length) for skip in answer.batch.skipped]
    return skipped


@pytest.fixture
def training(record):
    """A file with scalars of two tags, one point each a record, and long records among them; its records' payloads."""
    records = [record(event_pb2.Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())]
    for step in range(120):
        for tag in ("loss", "acc"):
            event = event_pb2.Event(wall_time=1e9 + step, step=step)
            event.summary.value.add(tag=tag, simple_value=step + (tag == "acc") / 2)
            records.append(record(event.SerializeToString()))
        if step % 30 == 7:
            event = event_pb2.Event(wall_time=1e9 + step, step=step)
            event.summary.value.add(tag="image").image.encoded_image_string = bytes(range(256)) * 3
            records.append(record(event.SerializeToString()))
    return records


def points_of(store, run, tag):
    points = store.points(run, "logs", "train", tag)
    return list(zip(points.step.tolist(), points.wall_time.tolist(), points.value.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_byte_in_a_file_that_grows(store, training, seed):
    """Wherever it is: one record is missing, counted and told with its place; the bytes are kept as they were."""
    rng = random.Random(seed)
    hit = rng.randrange(1, len(training) - 1)
    start = sum(map(len, training[:hit]))
    data = bytearray(b"".join(training))
    data[start + rng.randrange(len(training[hit]))] ^= rng.randrange(1, 256)
    data = bytes(data)
    sizes = sorted(rng.randrange(len(data)) for _ in range(8))

    run = new_run(store, "damaged")
    assert append_until_stuck(store, run, data, [*sizes, len(data)], final=False) == []
    assert store.size(run, PATH) == start
    assert append_until_stuck(store, run, data, [len(data)], final=True) == [(start, len(training[hit]))]
    (file,) = store.files(run)
    assert (file.size, file.records, file.skipped) == (len(data), len(training) - 1, 1)
    assert store.path(run, PATH).read_bytes() == data

    whole = new_run(store, "without")
    without = b"".join(training[:hit] + training[hit + 1 :])
    append_until_stuck(store, whole, without, [len(without)], final=False)
    for tag in ("loss", "acc"):
        assert points_of(store, run, tag) == points_of(store, whole, tag)
    assert len(store.summaries(run, "logs", "train", "image")) == len(
        store.summaries(whole, "logs", "train", "image")
    )


def test_growing_byte_by_byte(store, training):
    """The points are the same as if the whole file had been there at once."""
    data = b"".join(training[:60])
    append_until_stuck(store, new_run(store, "grown"), data, range(0, len(data) + 1, 7), final=False)
    append_until_stuck(store, "grown", data, [len(data)], final=False)
    append_until_stuck(store, new_run(store, "whole"), data, [len(data)], final=False)
    assert points_of(store, "grown", "loss") == points_of(store, "whole", "loss")
    assert store.files("grown")[0].records == store.files("whole")[0].records == 60


def test_zeros_at_the_end(store, training):
    """Zeros that a crashed file system left wait for their bytes; what follows them for good is read all the same."""
    data = b"".join(training)
    half = sum(map(len, training[:100]))
    run = new_run(store, "mended")
    append_until_stuck(store, run, data[:half] + bytes(3000), [half + 3000], final=True)
    assert store.size(run, PATH) == half
    append_until_stuck(store, run, data, [len(data)], final=False)
    assert (store.files(run)[0].records, store.files(run)[0].skipped) == (len(training), 0)

    run = new_run(store, "lost")
    holed = data[:half] + bytes(3000) + data[half:]
    append_until_stuck(store, run, holed, [half + 3000, len(holed)], final=False)
    assert store.size(run, PATH) == half
    assert append_until_stuck(store, run, holed, [len(holed)], final=True) == [(half, 3000)]
    assert (store.files(run)[0].records, store.files(run)[0].skipped) == (len(training), 1)
    assert points_of(store, run, "loss") == points_of(store, "mended", "loss")


UNKNOWN = b"\xa2\x06\x05later"  # field 100, length-delimited


def later_events():
    """Events as a later TensorBoard may write them: known fields among unknown ones, at every level."""
    event = event_pb2.Event(wall_time=2.0, step=4)
    event.summary.value.add(tag="x", simple_value=1.5)
    plain = event.summary.value[0].SerializeToString()

    def written(value, *, around=b"", beside=b""):
        summary = b"\x0a" + bytes([len(value)]) + value + beside
        head = event_pb2.Event(wall_time=2.0, step=4).SerializeToString()
        return around + head + b"\x2a" + bytes([len(summary)]) + summary + around

    yield "in the event", written(plain, around=UNKNOWN), 1, []
    yield "in the summary", written(plain, beside=UNKNOWN), 1, []
    yield "in the value", written(plain + UNKNOWN), 1, []
    yield "a new kind of value", written(b"\x0a\x01x" + UNKNOWN), 0, [("x", "")]
    yield (
        "a new kind with metadata",
        written(b"\x0a\x01x\x4a\x06\x0a\x04\x0a\x02ab" + UNKNOWN),
        0,
        [("x", "ab")],
    )
    yield "a new kind of event", event_pb2.Event(step=1).SerializeToString() + UNKNOWN, 0, []
    yield "a new type of tensor", written(b"\x0a\x01x\x42\x08\x08\x7f\x12\x00\x22\x02ab"), 0, [("x", "")]


@pytest.mark.parametrize(
    ("payload", "points", "summaries"),
    [case[1:] for case in later_events()],
    ids=[case[0] for case in later_events()],
)
@pytest.mark.parametrize("count", [1, 300])
def test_what_later_versions_write(check, store, record, payload, points, summaries, count):
    """It is read as far as it is known, pointed to where it is not, and kept byte for byte."""
    data = record(payload) * count
    batch = check(data)
    assert (len(batch.scalars.step), batch.records) == (points * count, count)
    assert [(summary.tag, summary.plugin) for summary in batch.summaries] == summaries * count
    for at, summary in enumerate(batch.summaries):
        assert (summary.offset, summary.length) == (at * len(record(payload)), len(record(payload)))
    run = new_run(store, "later")
    assert store.append(run, PATH, 0, data).size == len(data)
    assert store.read(run, PATH, 0, len(data)) == data
    assert Decoder().decode(store.read(run, PATH, 0, len(data))).records == count
