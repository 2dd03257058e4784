"""What just goes on is kept as it came for a while: nobody who reads may be able to tell."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord, new_run_id
from runcast.store import change
from runcast.store.local import LocalStore
from runcast.store.protocol import Append, Appended, Facts

FILES = ("a/1", "a/2", "b/1", "b/1~2")

point = st.tuples(
    st.sampled_from(FILES),
    st.sampled_from(["loss", "accuracy"]),
    st.integers(-2, 4),  # how far the file's step goes on, or back
    st.integers(0, 3),  # how many seconds pass
)
moment = st.one_of(point, st.sampled_from(["record", "another store", "text"]))


def rows(place, table):
    with closing(sqlite3.connect(place / "store.db")) as connection:
        return connection.execute(f"select count(*) from {table}").fetchone()[0]


def everything(store, run):
    """All that can be read of a run's files and series, down to the bits."""
    names = ("root", "source", "tag", "plugin", "count", "first_step", "last_step")
    names += ("last", "min", "max", "last_wall_time")
    series = [tuple(getattr(each, name) for name in names) for each in store.series(run)]
    scalars = [(*each[:3], *each[7:10]) for each in series if each[3] == "scalars"]
    assert store.values([run]) == ({run: scalars} if scalars else {})
    points = []
    for root, source, tag, plugin, *_ in series:
        if plugin == "scalars":
            found = store.points(run, root, source, tag)
            few = store.points(run, root, source, tag, pixels=2, step_range=(1, 9))
            points += [
                column.tobytes()
                for each in (found, few)
                for column in (each.step, each.wall_time, each.value)
            ]
    files = [(each.path, each.size, each.records, each.skipped) for each in store.files(run)]
    return sorted(series), points, files, [store.size(run, path) for path, *_ in files]


class Trial:
    """Event files of one run, written by hand and recorded into a store."""

    def __init__(self, folder):
        self.folder = folder
        self.place = folder / "store"
        self.store = LocalStore(self.place)
        self.run = RunRecord(new_run_id(), "p", "n", "running", time.time())
        self.store.create(self.run)
        self.writers = {}
        self.steps = dict.fromkeys(FILES, 0)
        self.sizes = {}
        self.now = 100.0

    def write(self, name, tag, by, seconds):
        self.now += seconds
        self.steps[name] += by
        if name not in self.writers:
            self.writers[name] = EventWriter(self.folder / "logs" / name)
        self.writers[name].scalars({tag: self.now / 7}, self.steps[name], self.now)

    def appends(self):
        paths = {f"files/logs/{name}.tfevents": writer.path for name, writer in self.writers.items()}
        paths = {path.replace("~2.tfevents", ".tfevents~2"): source for path, source in paths.items()}
        sizes = [self.sizes.get(path, 0) for path in paths]
        return [
            Append(path, size, source.read_bytes()[size:])
            for (path, source), size in zip(paths.items(), sizes, strict=True)
        ]

    def record(self):
        appends = [each for each in self.appends() if each.data]
        for append, answer in zip(appends, self.store.append_all(self.run.id, appends), strict=True):
            assert isinstance(answer, Appended)
            assert answer.size == append.offset + len(append.data)
            self.sizes[append.path] = answer.size

    def reopen(self):
        self.store.close()
        self.store = LocalStore(self.place)

    def close(self):
        self.store.close()
        for writer in self.writers.values():
            writer.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(most=st.sampled_from([1, 3, 32]), moments=st.lists(moment, max_size=40))
def test_what_is_recent_reads_as_if_it_were_not(tmp_path_factory, monkeypatch, most, moments):
    """Several files of two folders, restarts, new tags and new recorders in any order: at each moment the store says what it
    would say had everything been indexed at once.
    """
    trial, plain = (Trial(tmp_path_factory.mktemp("trial")) for _ in range(2))
    try:
        for each in [*moments, "record"]:
            if each == "record":
                with monkeypatch.context() as patch:
                    patch.setattr(change, "MOST_GROUPS", most)
                    trial.record()
                with monkeypatch.context() as patch:
                    patch.setattr(change, "MOST_GROUPS", 0)
                    plain.record()
                assert everything(trial.store, trial.run.id) == everything(plain.store, plain.run.id)
            elif each == "another store":
                trial.reopen()
            elif each == "text":
                trial.store.update(trial.run.id, Facts(name="renamed"))
            else:
                trial.write(*each)
                plain.write(*each)
        assert rows(plain.place, "recent") == 0
    finally:
        trial.close()
        plain.close()


@pytest.fixture
def trial(tmp_path):
    trial = Trial(tmp_path)
    yield trial
    trial.close()


def test_a_training_that_goes_on_costs_one_row_a_time(trial):
    """Recording what goes on touches one row, whatever the number of files; now and then it is moved to its place."""
    for name in ("a/1", "b/1"):
        trial.write(name, "loss", 1, 1)
    trial.record()
    chunks = rows(trial.place, "chunk")
    for _ in range(10):
        for name in ("a/1", "b/1"):
            trial.write(name, "loss", 1, 1)
        trial.record()
    assert rows(trial.place, "chunk") == chunks
    assert rows(trial.place, "recent") == 10
    for _ in range(change.MOST_GROUPS):
        trial.write("b/1", "loss", 1, 1)
        trial.record()
    assert rows(trial.place, "recent") < change.MOST_GROUPS
    assert rows(trial.place, "chunk") > chunks


def test_an_ended_run_has_nothing_that_is_recent(trial):
    """The index of a run that has ended is at rest."""
    for _ in range(3):
        trial.write("a/1", "loss", 1, 1)
        trial.record()
    assert rows(trial.place, "recent") == 2
    before = everything(trial.store, trial.run.id)
    trial.store.update(trial.run.id, Facts(state="finished", ended=trial.now))
    assert rows(trial.place, "recent") == 0
    assert everything(trial.store, trial.run.id) == before
