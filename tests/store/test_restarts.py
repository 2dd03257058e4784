"""Which points count when a training is restarted, run again, or has several writers."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcast.events.batch import Batch, Scalars
from runcast.run.record import new_run_id
from runcast.store.index import SourceIndex
from runcast.store.local import LocalStore


def steps_and_values(store, run, tag="loss", source=".", **options):
    points = store.points(run, "logs", source, tag, **options)
    return list(zip(points.step.tolist(), points.value.tolist(), strict=True))


def test_a_step_that_goes_back_supersedes(store, run, open_file):
    """A loop that starts over in one file shows the later pass, and the summary is over what shows."""
    file = open_file()
    file.scalars("loss", [(step, 10.0 + step, 1.0 + step) for step in range(10)])
    file.scalars("loss", [(step, float(step), 20.0 + step) for step in range(4, 7)])
    assert steps_and_values(store, run) == [(0, 10), (1, 11), (2, 12), (3, 13), (4, 4), (5, 5), (6, 6)]
    (series,) = store.series(run)
    assert (series.count, series.first_step, series.last_step, series.last) == (7, 0, 6, 6)
    assert (series.min, series.max, series.last_wall_time) == (4, 13, 26)


def test_a_tag_logged_without_a_step_keeps_its_last_point(store, run, open_file):
    """Hundreds of points at step 0 are one point: the last."""
    file = open_file()
    for value in range(50):
        file.scalars("loss", [(0, float(value), 1.0 + value)])
    assert steps_and_values(store, run) == [(0, 49)]
    assert store.series(run)[0].count == 1


def test_a_cell_run_again_supersedes_the_older_file(store, run, open_file):
    """A training cell that is run again into the same folder shows the later run where it repeats the earlier."""
    first, second = open_file(), None
    first.scalars("loss", [(step, 10.0, 100.0 + step) for step in range(10)])
    second = open_file()
    second.scalars("loss", [(step, 20.0, 200.0 + step) for step in range(3)])
    assert steps_and_values(store, run) == [(0, 20), (1, 20), (2, 20)]
    assert store.series(run)[0].max == 20


def test_a_resumed_training_continues_the_older_file(store, run, open_file):
    """A new writer that starts at step 5 leaves the older points before 5."""
    first = open_file()
    first.scalars("loss", [(step, 10.0, 100.0 + step) for step in range(8)])
    first.scalars("lr", [(step, 0.1, 100.0 + step) for step in range(8)])
    open_file().scalars("loss", [(step, 20.0, 200.0 + step) for step in range(5, 10)])
    assert [value for _, value in steps_and_values(store, run)] == [10] * 5 + [20] * 5
    assert len(steps_and_values(store, run, "lr")) == 8
    loss, lr = store.series(run)
    assert (loss.count, loss.last_step, loss.min, loss.max) == (10, 9, 10, 20)
    assert lr.count == 8


def test_two_writers_alive_at_once_both_count(store, run, open_file):
    """Two writers that log one tag into one folder at the same time: all points are there, once."""
    one, two = open_file(), open_file()
    for step in range(5):
        one.scalars("loss", [(step, 1.0, 100.0 + step)])
        two.scalars("loss", [(step, 2.0, 100.5 + step)])
    assert steps_and_values(store, run) == [(step, value) for step in range(5) for value in (1.0, 2.0)]
    (series,) = store.series(run)
    assert (series.count, series.last, series.min, series.max) == (10, 2, 1, 2)


def test_a_quiet_writer_is_alive_between_its_points(store, run, open_file):
    """A file's life is that of all its events: a tag that it logs once is not lost to a writer that begins later."""
    one = open_file()
    one.scalars("config", [(0, 1.0, 100.0)])
    two = open_file()
    two.scalars("config", [(0, 2.0, 150.0)])
    assert steps_and_values(store, run, "config") == [(0, 2)]
    one.scalars("loss", [(0, 1.0, 200.0)])
    assert steps_and_values(store, run, "config") == [(0, 1), (0, 2)]
    assert store.series(run)[0].count == 2


def test_a_new_generation_of_a_file_supersedes_the_old(store, run, open_file):
    """A source that was replaced (its copy starts from scratch, with the same wall times) shows each point once."""
    first = open_file(rename="events.out.tfevents.1.host")
    first.scalars("loss", [(step, 1.0, 100.0 + step) for step in range(5)])
    second = open_file(rename="events.out.tfevents.1.host~2")
    second.scalars("loss", [(step, 1.0, 100.0 + step) for step in range(7)])
    assert [step for step, _ in steps_and_values(store, run)] == list(range(7))
    assert store.series(run)[0].count == 7


def test_a_purge_step_supersedes_every_tag(store, run, open_file):
    """`SummaryWriter(purge_step=5)` drops the older points from step 5 on, of tags that it never writes too."""
    first = open_file()
    first.scalars("loss", [(step, 10.0, 100.0 + step) for step in range(10)])
    first.scalars("lr", [(step, 0.1, 100.0 + step) for step in range(10)])
    second = open_file(purge_step=5)
    second.record()
    assert [step for step, _ in steps_and_values(store, run, "lr")] == list(range(5))
    assert [series.count for series in store.series(run)] == [5, 5]


def test_an_older_file_found_late_is_purged_too(store, run, open_file):
    """A file that is recorded after its successor had its say is superseded all the same."""
    older = open_file()
    for step in range(10):
        older.writer.add_scalar("loss", 1.0, step, 100.0 + step)
    open_file(purge_step=5).record()
    older.record()
    assert [step for step, _ in steps_and_values(store, run)] == list(range(5))
    assert store.series(run)[0].count == 5


def test_folders_do_not_supersede_each_other(store, run, open_file):
    """The same tag in `train` and `validation` is two series."""
    open_file("train").scalars("loss", [(step, 1.0, 100.0 + step) for step in range(5)])
    open_file("validation").scalars("loss", [(step, 2.0, 200.0 + step) for step in range(5)])
    assert [(series.source, series.count) for series in store.series(run)] == [
        ("train", 5),
        ("validation", 5),
    ]


def test_images_restart_too(store, run, open_file):
    """What is not a scalar follows the same rules."""
    first, image = open_file(), np.zeros((1, 4, 4), np.uint8)
    for step in range(6):
        first.writer.add_image("sample", image, step, 100.0 + step)
    first.record()
    assert store.series(run)[0].count == 6
    first.writer.add_image("sample", image, 2, 110.0)
    first.record()
    assert (store.series(run)[0].count, store.series(run)[0].last_step) == (3, 2)
    second = open_file()
    second.writer.add_image("sample", image, 1, 200.0)
    second.record()
    (series,) = store.series(run)
    assert (series.plugin, series.count, series.last_step) == ("images", 2, 1)
    assert [pointer.step for pointer in store.summaries(run, "logs", ".", "sample")] == [0, 1]


# The index is kept up to date append by append; here it is compared with the rules applied to everything at once.


def in_file(points):
    return [
        (step, wall_time, value)
        for i, (step, wall_time, value) in enumerate(points)
        if all(step < later for later, _, _ in points[i + 1 :])
    ]


def expected(appends, tag):
    files = defaultdict(list)
    walls = defaultdict(list)
    sessions = []
    for file, points, starts in appends:
        files[file] += [(step, wall, value) for name, step, wall, value in points if name == tag]
        walls[file] += [wall for _, _, wall, _ in points] + [wall for _, wall in starts]
        sessions += starts
    seen = []
    for file, points in files.items():
        for point in in_file(points):
            for other, theirs in files.items():
                later = min(walls[other], default=math.inf) > max(walls[file])
                if other != file and theirs and later and point[0] >= min(step for step, _, _ in theirs):
                    break
            else:
                if not any(point[0] >= step and point[1] < wall for step, wall in sessions):
                    seen.append(point)
    return sorted(seen, key=lambda point: point[:2])


@st.composite
def histories(draw):
    """Appends to a few files, in any order, with wall times that may or may not overlap."""
    appends = []
    now = 100.0
    for _ in range(draw(st.integers(1, 8))):
        file = draw(st.integers(1, 3))
        now += draw(st.sampled_from([0.0, 1.0, 1.0, -30.0]))
        points = []
        for _ in range(draw(st.integers(0, 12))):
            now += draw(st.sampled_from([0.0, 0.25, 1.0]))
            step = draw(st.one_of(st.integers(0, 8), st.just(len(points))))
            points.append((draw(st.sampled_from("ab")), step, now, float(draw(st.integers(-3, 3)))))
        starts = [(draw(st.integers(0, 8)), now + 0.125)] if draw(st.integers(0, 9)) == 0 else []
        appends.append((file, points, starts))
    return appends


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    with LocalStore(tmp_path_factory.mktemp("oracle")) as store:
        yield store


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(appends=histories(), sealed=st.sampled_from([4, 4096]))
def test_the_index_follows_the_rules_whatever_the_order(shared_store, new_run, monkeypatch, appends, sealed):
    """However points arrive, the series and its bounds are those that the rules give for all of them together."""
    store = shared_store
    record = new_run(id=new_run_id())
    store.create(record)
    monkeypatch.setattr("runcast.store.chunks.SEALED", sealed)
    for number in (1, 2, 3):
        store.append(record.id, f"files/logs/x{number}", 0, b"x")
    ids = {1: 1, 2: 2, 3: 3}
    for file, points, starts in appends:
        tags = tuple(dict.fromkeys(tag for tag, *_ in points))
        scalars = Scalars(
            tags,
            np.array([tags.index(tag) for tag, *_ in points], np.int32),
            *(
                np.array([point[i] for point in points], kind)
                for i, kind in ((1, "i8"), (2, "f8"), (3, "f8"))
            ),
        )
        batch = Batch(0, 0, len(points), scalars, np.empty((0, 2), np.int64), session_starts=tuple(starts))
        with store._database.write() as connection:
            SourceIndex(connection, record.id, "logs", ".").add(ids[file], batch)
    bounds = {series.tag: series for series in store.series(record.id)}
    for tag in {tag for _, points, _ in appends for tag, *_ in points}:
        wanted = expected(appends, tag)
        found = store.points(record.id, "logs", ".", tag)
        assert sorted(
            zip(found.step.tolist(), found.wall_time.tolist(), found.value.tolist(), strict=True)
        ) == sorted(wanted)
        assert found.step.tolist() == [step for step, _, _ in wanted]
        if not wanted:
            assert tag not in bounds
            continue
        series = bounds[tag]
        values = [value for _, _, value in wanted]
        assert (series.count, series.first_step, series.last_step) == (
            len(wanted),
            wanted[0][0],
            wanted[-1][0],
        )
        assert (series.min, series.max, series.last_wall_time) == (min(values), max(values), wanted[-1][1])
