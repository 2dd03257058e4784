"""Appends of many runs in one transaction, as a server makes them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from runcast.errors import RunNotFound, StoreError
from runcast.events.writer import EventWriter
from runcast.store import change
from runcast.store.local import LocalStore
from runcast.store.protocol import Append, Appended, OffsetMismatch

PATH = "files/logs/x.tfevents"

STEPS = 5 * change.MOST_GROUPS // 2

pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def pieces(tmp_path):
    """An event file in pieces of a step of two tags each."""
    writer = EventWriter(tmp_path / "x.tfevents")
    sizes = [0]
    for step in range(STEPS):
        writer.scalars({"loss": 1 / (step + 1), "accuracy": step / STEPS}, step, 100.0 + step)
        sizes.append(writer.path.stat().st_size)
    writer.close()
    data = writer.path.read_bytes()
    return [(start, data[start:stop]) for start, stop in pairwise(sizes)]


@pytest.fixture
def runs(store, new_run):
    made = [new_run() for _ in range(12)]
    for run in made:
        store.create(run)
    return [run.id for run in made]


def test_runs_recorded_together_are_as_if_recorded_alone(store, new_run, runs, pieces):
    """Many runs' appends in one transaction leave what each would have alone."""
    alone = new_run()
    store.create(alone)
    store.append(alone.id, PATH, 0, b"".join(data for _, data in pieces))
    expected = [(each.tag, each.count, each.last, each.min, each.max) for each in store.series(alone.id)]
    for start, data in pieces:
        answers = store.append_runs({run: [Append(PATH, start, data)] for run in runs})
        assert {answer.size for (answer,) in answers.values()} == {start + len(data)}
    for run in runs:
        found = store.series(run)
        assert [(each.tag, each.count, each.last, each.min, each.max) for each in found] == expected
        assert store.points(run, "logs", ".", "loss").value.tolist() == [
            1 / step for step in range(1, STEPS + 1)
        ]


def test_what_is_wrong_with_one_run_holds_up_no_other(store, runs, pieces, monkeypatch):
    """A run that nobody made, an offset that is not the file's, and runs whose index cannot be written: the rest is committed."""
    (_, first), (at, second) = pieces[:2]
    new, broken = runs[:2], {runs[1], runs[3]}
    first_answers = store.append_runs({run: [Append(PATH, 0, first)] for run in runs if run not in new})
    assert all(isinstance(answer, Appended) for (answer,) in first_answers.values())
    grow = change.Change.grow

    def fail(self, growths):
        grow(self, growths)
        if self._run in broken:
            raise OverflowError("a number that no column holds")

    appends = {run: [Append(PATH, 0, first) if run in new else Append(PATH, at, second)] for run in runs}
    appends[runs[2]] = [
        Append(PATH, 5, second),
        Append("files/../x", 0, b"x"),
        Append("files/logs/ok", 0, b"x"),
    ]
    appends["nobody"] = [Append(PATH, 0, first), Append("files/logs/ok", 0, b"x")]
    with monkeypatch.context() as patch:
        patch.setattr(change.Change, "grow", fail)
        answers = store.append_runs(appends)
    assert [type(answer) for answer in answers["nobody"]] == [RunNotFound] * 2
    assert [type(answer) for answer in answers[runs[2]]] == [OffsetMismatch, StoreError, Appended]
    for run in broken:
        (failed,) = answers[run]
        assert isinstance(failed, StoreError)
        assert "a number that no column holds" in str(failed)
    fine = set(runs) - {runs[2]} - broken
    sizes = {run: at if run in new else at + len(second) for run in runs}
    answers |= store.append_runs({run: appends[run] for run in broken})
    for run in fine | broken:
        (answer,) = answers[run]
        assert (type(answer), answer.size) == (Appended, sizes[run])
        assert [series.count for series in store.series(run)] == ([1, 1] if run in new else [2, 2])


def test_runs_that_began_together_are_not_tidied_up_together(store, runs, pieces, monkeypatch):
    """A thousand runs that started at the same moment would all be due in the same transaction, and everybody would wait."""
    folds = []
    fold = change.Change.fold

    def count(self):
        kept = self.memory.kept
        if kept is not None and kept.groups:
            folds[-1] += 1
        fold(self)

    monkeypatch.setattr(change.Change, "fold", count)
    for start, data in pieces:
        folds.append(0)
        store.append_runs({run: [Append(PATH, start, data)] for run in runs})
    assert sum(folds) > len(runs)
    assert max(folds) <= len(runs) // 2
    store.append_runs({runs[0]: [Append("files/logs/other", 0, b"x")]})


def test_little_is_remembered_where_little_may_be(place, database, store, runs, pieces):
    """With room for one run only, every run's index is read anew, and is the same."""
    with LocalStore(place, database=database, memory=1) as small:
        for start, data in pieces[:20]:
            for run in runs[:3]:
                small.append(run, PATH, start, data)
        assert [series.count for run in runs[:3] for series in store.series(run)] == [20] * 6
