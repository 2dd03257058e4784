"""Several files in one transaction, and what a writer remembers from one to the next."""

from __future__ import annotations

import time

import pytest

from runcast.errors import RunNotFound, StoreError
from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord, new_run_id
from runcast.store.change import Change
from runcast.store.local import LocalStore
from runcast.store.protocol import Append, Appended, FileRecord, OffsetMismatch

pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


class Growing:
    """Event files that grow together, and what of them is not recorded yet."""

    def __init__(self, folder, names):
        self.writers = {f"files/logs/{name}/x.tfevents": EventWriter(folder / name / "x") for name in names}
        self.sizes = dict.fromkeys(self.writers, 0)

    def write(self, step, *, tags=("loss",)):
        for writer in self.writers.values():
            writer.scalars(dict.fromkeys(tags, step / 7), step, 100.0 + step)

    def appends(self):
        return [
            Append(path, self.sizes[path], writer.path.read_bytes()[self.sizes[path] :])
            for path, writer in self.writers.items()
        ]

    def record(self, store, run):
        appends = self.appends()
        for append, answer in zip(appends, store.append_all(run, appends), strict=True):
            assert isinstance(answer, Appended)
            self.sizes[append.path] = answer.size

    def close(self):
        for writer in self.writers.values():
            writer.close()


@pytest.fixture
def growing(tmp_path):
    opened = []

    def make(*names):
        opened.append(Growing(tmp_path / "logs", names))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def everything(store, run):
    """All that can be read of a run's files and series, down to the bits of the points."""
    series = store.series(run)
    keys = [(each.root, each.source, each.tag) for each in series]
    points = [[column.tobytes() for column in _columns(store.points(run, *key))] for key in keys]
    files = [(file.path, file.size, file.records, file.skipped) for file in store.files(run)]
    return [
        (key, each.count, each.last, each.min, each.max) for key, each in zip(keys, series, strict=True)
    ], (
        points,
        files,
    )


def _columns(points):
    return points.step, points.wall_time, points.value


def recorded_at_once(growing, place):
    """What a fresh store says of the same files, each appended whole."""
    with LocalStore(place) as store:
        run = RunRecord(new_run_id(), "p", "n", "running", time.time())
        store.create(run)
        for path, writer in growing.writers.items():
            store.append(run.id, path, 0, writer.path.read_bytes())
        return everything(store, run.id)


def test_files_recorded_together_are_as_if_recorded_alone(store, run, growing, tmp_path):
    """Many small groups of appends, with new tags on the way, leave the same series as one append of each file."""
    files = growing("a", "b", "a/deep")
    for step in range(150):
        files.write(step, tags=("loss",) if step < 40 else ("loss", "accuracy"))
        if step % (1 + step // 30) == 0:
            files.record(store, run)
    files.record(store, run)
    assert everything(store, run) == recorded_at_once(files, tmp_path / "other")


def test_a_file_that_cannot_be_written_does_not_lose_the_others(store, run, growing):
    """One folder is in the way of a file: that one is refused, with where and why, and the others are recorded."""
    files = growing("a", "b", "c")
    files.write(0)
    (store.path(run, "files/logs/b/x.tfevents")).mkdir(parents=True)
    first, second, third = store.append_all(run, files.appends())
    assert isinstance(first, Appended)
    assert isinstance(third, Appended)
    assert isinstance(second, StoreError)
    assert str(store.path(run, "files/logs/b/x.tfevents")) in str(second)
    assert [series.source for series in store.series(run)] == ["a", "c"]


def test_a_group_for_an_unknown_run_is_refused_as_a_whole(store, growing):
    """Bytes for a run that nobody made are refused."""
    files = growing("a", "b")
    files.write(0)
    with pytest.raises(RunNotFound):
        store.append_all("nobody", files.appends())


@pytest.mark.parametrize("tags", [("loss",), ("loss", "new")])
def test_a_group_that_fails_is_as_if_it_had_never_been(store, run, growing, tmp_path, monkeypatch, tags):
    """Something goes wrong at the last moment: nothing of the group is in the index, and the same group goes through later."""
    files = growing("a", "b")
    for step in range(3):
        files.write(step)
        files.record(store, run)
    before = everything(store, run)
    files.write(3, tags=tags)
    grow = Change.grow

    def fail(self, growths):
        grow(self, growths)
        raise OverflowError("a number that SQLite cannot hold")

    with monkeypatch.context() as patch:
        patch.setattr(Change, "grow", fail)
        with pytest.raises(OverflowError):
            store.append_all(run, files.appends())
    assert everything(store, run) == before
    for step in range(4, 8):
        files.write(step)
        files.record(store, run)
    assert everything(store, run) == recorded_at_once(files, tmp_path / "other")


def test_two_stores_take_turns_on_one_run(place, database, store, run, growing, tmp_path):
    """What another process changed of the run is read again: restarts, new tags and files included."""
    files = growing("a", "b")
    with LocalStore(place, database=database) as other:
        for turn, step in enumerate([0, 1, 2, 1, 2, 3, 4, 5, 4, 5, 6]):
            files.write(step, tags=("loss", f"new{turn // 3}"))
            files.record((store, other)[turn % 2], run)
            (other, store)[turn // 2 % 2].describe(
                run, *(FileRecord(path, 0, state="recording") for path in files.sizes)
            )
        appends = files.appends()
        files.write(7)
        stale = [Append(each.path, 0, b"x") for each in appends]
        assert list(other.append_all(run, stale)) == [OffsetMismatch(size) for size in files.sizes.values()]
        files.record(other, run)
        files.write(8)
        files.record(store, run)
    assert everything(store, run) == recorded_at_once(files, tmp_path / "other")


def test_a_second_training_in_the_same_folder_may_come_together_with_the_first(store, run, tmp_path):
    """Both files of a folder arrive in one group: the later one supersedes what it repeats, as if they had come one by one."""
    appends = []
    for number, (start, first_step) in enumerate([(100.0, 0), (200.0, 5)]):
        writer = EventWriter(tmp_path / f"x{number}")
        for step in range(first_step, 10):
            writer.scalars({"loss": number + step / 10}, step, start + step)
        writer.close()
        appends.append(Append(f"files/logs/x{number}.tfevents", 0, writer.path.read_bytes()))
    assert all(isinstance(answer, Appended) for answer in store.append_all(run, appends))
    assert store.points(run, "logs", ".", "loss").wall_time.tolist() == [
        *(100.0 + step for step in range(5)),
        *(200.0 + step for step in range(5, 10)),
    ]
    assert store.series(run)[0].count == 10
