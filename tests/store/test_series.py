"""Series: exact columns, bounds, few points for few pixels, and what is not a scalar."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.events.batch import Batch, Scalars, Summary
from runcast.events.decode import Decoder
from runcast.events.writer import EventWriter
from runcast.store import buckets
from runcast.store.columns import Columns, decode, encode
from runcast.store.index import SourceIndex

bits = st.integers(0, 2**64 - 1).map(lambda number: np.uint64(number).view(np.float64))
steps = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 1000))
rows = st.lists(st.tuples(steps, bits, st.one_of(bits, st.floats(width=32))), min_size=1, max_size=200)

both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def same_bits(one, other):
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


@given(rows)
def test_columns_are_exact_to_the_last_bit(points):
    """Any step, wall time and value survives storage, NaN payloads and negative zero included."""
    columns = Columns(
        *(
            np.array(column, kind)
            for column, kind in zip(zip(*points, strict=True), ("i8", "f8", "f8"), strict=True)
        )
    )
    assert same_bits(decode(encode(columns)), columns)


def test_columns_are_compact():
    """A regular series of float32 values costs less than nine bytes a point, a constant one next to nothing."""
    rng = np.random.default_rng(0)
    step = np.arange(4096)
    wall_time = 1.7e9 + np.cumsum(rng.exponential(0.01, 4096))
    noise = rng.standard_normal(4096).astype(np.float32).astype(np.float64)
    assert len(encode(Columns(step, wall_time, noise))) < 9 * 4096
    assert len(encode(Columns(step, 1.7e9 + step, np.full(4096, 0.1)))) < 400


@given(
    st.lists(st.tuples(st.integers(0, 500), st.one_of(st.just(math.nan), st.integers(-9, 9).map(float)))),
    st.integers(1, 40),
)
def test_a_bucket_keeps_its_first_least_greatest_and_last(points, pixels):
    """However few the pixels, no spike is lost, and no bucket has more than four points."""
    points = sorted(dict(points).items())
    step, value = np.array([p[0] for p in points], np.int64), np.array([p[1] for p in points], np.float64)
    chosen = buckets.select(step, value, pixels)
    if points:  # and what is selected part by part is the same
        within = int(step[0]), int(step[-1])
        thirds = np.array_split(np.arange(len(step)), 3)
        of_parts = [part[buckets.select(step[part], value[part], pixels, within)] for part in thirds]
        rows = np.concatenate(of_parts)
        assert rows[buckets.select(step[rows], value[rows], pixels, within)].tolist() == chosen.tolist()
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) <= 4 * pixels
    if not points:
        return
    assert {0, len(points) - 1} <= set(chosen.tolist())
    width = (step[-1] - step[0] + 1) / pixels
    bucket = np.floor((step - step[0]) / width).astype(int)
    for number in set(bucket.tolist()):
        inside = value[bucket == number]
        kept = value[chosen][bucket[chosen] == number]
        assert 1 <= len(kept) <= 4
        if not np.isnan(inside).all():
            assert (np.nanmin(inside), np.nanmax(inside)) == (np.nanmin(kept), np.nanmax(kept))


def test_a_range_of_steps_is_read_alone(store, run, open_file):
    """Zooming in shows the points in the range, both ends included, at the same number of pixels."""
    open_file().scalars("loss", [(step * 2, float(step), 1.0 + step) for step in range(5000)])
    found = store.points(run, "logs", ".", "loss", step_range=(1001, 1010))
    assert found.step.tolist() == [1002, 1004, 1006, 1008, 1010]
    few = store.points(run, "logs", ".", "loss", step_range=(1000, 8999), pixels=10)
    assert len(few.step) <= 40
    assert (few.step[0], few.step[-1]) == (1000, 8998)
    assert len(store.points(run, "logs", ".", "loss", step_range=(20_000, 30_000)).step) == 0


@both
def test_nan_and_infinity_are_kept(store, run, open_file):
    """A loss that explodes is shown as it was, and spoils no bound."""
    values = [1.0, math.inf, math.nan, -math.inf, 2.0, math.nan]
    file = open_file()
    for step, value in enumerate(values):
        file.scalars("loss", [(step, value, 1.0 + step)])
        file.scalars("never", [(step, math.nan, 1.0 + step)])
    assert np.array_equal(store.points(run, "logs", ".", "loss").value, values, equal_nan=True)
    loss, never = store.series(run)
    assert (loss.count, loss.min, loss.max) == (6, -math.inf, math.inf)
    assert math.isnan(loss.last)
    assert math.isnan(never.min)
    assert math.isnan(never.max)


@both
def test_tags_of_all_alphabets(store, run, tmp_path):
    """Tags and folders may have any letters, quotes, spaces and slashes."""
    tags = ["损失/训练", "🔥", "a b'c\"d", "x/y/z", "%", "-1", "a\0b"]
    writer = EventWriter(tmp_path / "x.tfevents")
    writer.scalars(dict.fromkeys(tags, 1.5), 0)
    writer.close()
    path = "files/日志/übung 1/x.tfevents"
    store.append(run, path, 0, (tmp_path / "x.tfevents").read_bytes(), final=True)
    assert sorted(series.tag for series in store.series(run)) == sorted(tags)
    for tag in tags:
        assert store.points(run, "日志", "übung 1", tag).value.tolist() == [1.5]


@both
def test_thousands_of_tags(store, run, tmp_path):
    """A model that logs every layer's every number is one append."""
    writer = EventWriter(tmp_path / "x.tfevents")
    for step in range(2):
        writer.scalars({f"layer{number}/grad": float(number) for number in range(3000)}, step)
    writer.close()
    store.append(run, "files/logs/x.tfevents", 0, (tmp_path / "x.tfevents").read_bytes())
    series = store.series(run)
    assert len(series) == 3000
    assert {each.count for each in series} == {2}
    assert len({each.id for each in series}) == 3000


@both
def test_other_summaries_point_into_the_file(store, run, open_file):
    """Images, histograms and text are found by plugin; the pointer's bytes decode to that very record."""
    file = open_file("train")
    for step in range(3):
        file.writer.add_image("sample", np.zeros((1, 8, 8), np.uint8), step)
        file.writer.add_histogram("weights", np.arange(10.0), step)
        file.writer.add_text("note", f"step {step}", step)
    file.record()
    plugins = {series.tag.partition("/")[0]: (series.plugin, series.count) for series in store.series(run)}
    assert plugins == {"sample": ("images", 3), "weights": ("histograms", 3), "note": ("text", 3)}
    (tag,) = (series.tag for series in store.series(run) if series.plugin == "text")
    for pointer in store.summaries(run, "logs", "train", tag):
        record = store.read(run, pointer.path, pointer.offset, pointer.offset + pointer.length)
        assert f"step {pointer.step}".encode() in record
        assert Decoder().decode(record, 0).records == 1


def test_a_million_points_are_charted_at_once(store, run, tmp_path):
    """A million points are drawn from well under a tenth of a second, and still have their one spike."""
    rng = np.random.default_rng(2)
    n, piece = 1_000_000, 100_000
    value = rng.standard_normal(n).astype(np.float32).astype(np.float64)
    value[654_321] = 1e6
    columns = Columns(np.arange(n), 1.7e9 + np.cumsum(rng.exponential(0.01, n)), value)
    store.append(run, "files/logs/x", 0, b"x")
    for at in range(0, n, piece):
        part = columns.rows(slice(at, at + piece))
        scalars = Scalars(("loss",), np.zeros(piece, np.int32), *part)
        with store._database.write() as connection:
            SourceIndex(connection, run, "logs", ".").add(
                1, Batch(0, 0, piece, scalars, np.empty((0, 2), np.int64))
            )
    took = []  # processor time: the machine may be busy with other things
    for _ in range(5):
        start = time.process_time()
        few = store.points(run, "logs", ".", "loss", pixels=1000)
        took.append(time.process_time() - start)
    assert few.value.max() == 1e6
    assert 3000 < len(few.step) <= 4000
    assert min(took) < 0.1
    whole = store.points(run, "logs", ".", "loss")
    assert same_bits((whole.step, whole.wall_time, whole.value), columns)


@both
def test_small_appends_stay_cheap(store, run, tmp_path):
    """An append to a long series costs about what it cost to a short one, and leaves few chunks behind."""
    writer = EventWriter(tmp_path / "x.tfevents")
    took, at = [], 0
    for step in range(600):
        writer.scalars({"loss": float(step)}, step)
        with writer.path.open("rb") as file:
            file.seek(at)
            data = file.read()
        start = time.process_time()
        at = store.append(run, "files/logs/x.tfevents", at, data).size
        took.append(time.process_time() - start)
    writer.close()
    assert np.median(took[-100:]) < 3 * np.median(took[50:150])
    with store._database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from chunk").scalar() <= 13
    assert store.points(run, "logs", ".", "loss").value.tolist() == list(map(float, range(600)))


@pytest.mark.parametrize("plugin", ["images", "text"])
def test_metadata_on_the_first_event_only(store, run, plugin):
    """A tag whose later events carry no metadata stays one series of its plugin."""
    store.append(run, "files/logs/x", 0, b"x")
    none = Scalars((), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), np.empty(0))
    for step, said in enumerate([plugin, "", ""]):
        batch = Batch(
            0, 0, 1, none, np.empty((0, 2), np.int64), (Summary("tag", said, step, 1.0 + step, step * 9, 9),)
        )
        with store._database.write() as connection:
            SourceIndex(connection, run, "logs", ".").add(1, batch)
    (series,) = store.series(run)
    assert (series.plugin, series.count) == (plugin, 3)
