"""From event files to series: the same on every store."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from runcast.errors import SeriesNotFound
from runcast.events.writer import EventWriter
from runcast.store.protocol import Appended

ALL = 1 << 40


@pytest.fixture
def record(store, run, tmp_path):
    """Write an event file with points (tag, step, value, wall time), and record it in pieces."""

    def write(name, points, *, source=".", piece=1 << 16):
        place = tmp_path / source / f"events.out.tfevents.{name}"
        writer = EventWriter(place)
        for tag, step, value, wall_time in points:
            writer.scalars({tag: value}, step, wall_time)
        writer.close()
        path = f"files/logs/{place.name}" if source == "." else f"files/logs/{source}/{place.name}"
        data = place.read_bytes()
        at = store.size(run, path)
        while at < len(data):
            answer = store.append(run, path, at, data[at : at + piece])
            assert isinstance(answer, Appended)
            at = answer.size
        return path, data

    return write


def columns(store, run, tag, source=".", **options):
    points = store.points(run, "logs", source, tag, **options)
    return points.step.tolist(), points.wall_time.tolist(), points.value.tolist()


def test_all_points_come_back_exactly(store, run, record, settle):
    """Steps, wall times and values come back to the last bit, also what is no number; the file is the same byte for byte."""
    rng = random.Random(1)
    values = [rng.gauss(0, 1) for _ in range(3000)]
    values[5:8] = [math.inf, -math.inf, math.nan]
    path, data = record(
        "1.h",
        [("loss/é", step, value, 1.7e9 + step / 7) for step, value in enumerate(values)],
        source="train",
    )
    settle()
    step, wall_time, value = columns(store, run, "loss/é", "train")
    assert step == list(range(3000))
    assert wall_time == [1.7e9 + each / 7 for each in range(3000)]
    assert np.array_equal(value, np.array(values), equal_nan=True)
    assert store.read(run, path, 0, ALL) == data
    (series,) = store.series(run)
    assert (series.root, series.source, series.tag, series.plugin) == ("logs", "train", "loss/é", "scalars")
    assert (series.count, series.first_step, series.last_step, series.last) == (3000, 0, 2999, values[-1])
    assert (series.min, series.max) == (-math.inf, math.inf)
    assert store.files(run)[0].records == 3001


def test_no_spike_is_lost(store, run, record):
    """At any width, every bucket has the least and the greatest of its points; a range of steps is read alone."""
    rng = random.Random(2)
    values = [rng.random() for _ in range(5000)]
    values[1234], values[4321] = 99.0, -99.0
    record("1.h", [("loss", step, value, 1e9 + step) for step, value in enumerate(values)])
    for pixels in (10, 100):
        step, _, value = columns(store, run, "loss", pixels=pixels)
        assert {99.0, -99.0} <= set(value)
        assert len(step) <= 4 * pixels
        assert all(values[at] == each for at, each in zip(step, value, strict=True))
        for start in range(0, 5000, 5000 // pixels):
            bucket = range(start, start + 5000 // pixels)
            shown = [values[at] for at in step if at in bucket]
            assert min(shown) == min(values[at] for at in bucket)
            assert max(shown) == max(values[at] for at in bucket)
    assert columns(store, run, "loss", step_range=(10, 12))[0] == [10, 11, 12]


def test_a_record_waits_for_its_end_and_a_bad_one_is_passed_over(store, run, tmp_path):
    """Bytes cut in a record are taken with its rest; one flipped bit costs one record, at the end, and stays in the file."""
    writer = EventWriter(tmp_path / "events.out.tfevents.1.h")
    ends = []
    for step in range(5):
        writer.scalars({"loss": float(step)}, step, 1e9 + step)
        ends.append(writer.path.stat().st_size)
    data, path = bytearray(writer.path.read_bytes()), "files/logs/events.out.tfevents.1.h"
    assert store.append(run, path, 0, bytes(data[: ends[0] + 3])).size == ends[0]
    data[ends[1] + 20] ^= 1
    assert store.append(run, path, ends[0], bytes(data[ends[0] :])).size == ends[1]
    assert store.append(run, path, ends[1], bytes(data[ends[1] :])).size == ends[1]
    assert store.append(run, path, ends[1], bytes(data[ends[1] :]), final=True).size == len(data)
    assert columns(store, run, "loss")[0] == [0, 1, 3, 4]
    (file,) = store.files(run)
    assert (file.skipped, file.size) == (1, len(data))
    assert store.read(run, path, 0, ALL) == data


def test_restarts_are_resolved_on_reading(store, run, record):
    """A step that goes back, in its file or in a later one, supersedes what came before; the summary is over what counts."""
    record("1.h", [("loss", step, 10.0 + step, 100.0 + step) for step in (0, 1, 2, 3, 4, 2)])
    assert columns(store, run, "loss")[2] == [10, 11, 12]
    record("2.h", [("loss", step, float(step), 200.0 + step) for step in (1, 2)])
    record("3.h", [("other", 0, 1.0, 300.0)])
    assert columns(store, run, "loss")[::2] == ([0, 1, 2], [10, 1, 2])
    (series, _) = store.series(run)
    assert (series.count, series.min, series.max, series.last) == (3, 1, 10, 2)


def test_files_recorded_in_turns_are_as_if_recorded_one_by_one(store, run, record, settle):
    """Many small appends to several files, over several sources, add up."""
    for until in range(10, 60, 10):
        for source in ("a", "b"):
            record(
                "1.h",
                [("loss", step, step / 2, 1e9 + step) for step in range(until)],
                source=source,
                piece=200,
            )
        if until == 30:
            settle()
    for source in ("a", "b"):
        assert columns(store, run, "loss", source)[0] == list(range(50))
    assert [(series.source, series.count) for series in store.series(run)] == [("a", 50), ("b", 50)]


def test_images_are_found_in_their_file(store, run, tmp_path):
    """A summary that is no scalar says where its record is."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(tmp_path / "x")) as writer:
        for step in range(3):
            writer.add_image("picture", np.zeros((3, 4, 4), np.uint8), step)
    (place,) = (tmp_path / "x").iterdir()
    path, data = f"files/logs/{place.name}", place.read_bytes()
    store.append(run, path, 0, data, final=True)
    found = store.summaries(run, "logs", ".", "picture")
    assert [each.step for each in found] == [0, 1, 2]
    for each in found:
        assert b"picture" in store.read(run, each.path, each.offset, each.offset + each.length)


def test_what_the_run_itself_wrote_is_kept(store, run, tmp_path):
    """Files under `own/` are a store's to keep where the run is elsewhere."""
    writer = EventWriter(tmp_path / "events.out.tfevents.1.me")
    writer.scalars({"cpu": 0.5}, 1, 1e9)
    writer.close()
    data, path = writer.path.read_bytes(), "own/system/events.out.tfevents.1.me"
    store.append(run, path, 0, data, final=True)
    assert store.read(run, path, 0, ALL) == data
    assert store.series(run)[0].root == "own"


def test_a_series_that_is_not_there_is_said_so(store, run):
    """Asking for what was never logged says so."""
    with pytest.raises(SeriesNotFound):
        store.points(run, "logs", ".", "loss")
    with pytest.raises(SeriesNotFound):
        store.summaries(run, "logs", ".", "loss")
