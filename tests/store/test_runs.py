"""What a run is, which runs there are, and what changed."""

from __future__ import annotations

import math
import time

import pytest

from runcast.errors import RunNotFound, SeriesNotFound
from runcast.store.local import CRASHED_AFTER, LocalStore
from runcast.store.protocol import Facts, RunQuery

pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def test_a_run_comes_back_as_it_was(store, new_run):
    """Config and facts keep their values, NaN and unicode too; making the run again changes nothing."""
    run = new_run(config={"lr": 1e-3, "layers": [1, 2], "名": "ü"}, facts={"host": "lab", "nan": math.nan})
    store.create(run)
    store.create(new_run(id=run.id, name="second"))
    found = store.run(run.id)
    assert (found.name, found.config, found.created) == ("first", run.config, run.created)
    assert math.isnan(found.facts["nan"])


def test_facts_are_merged_key_by_key(store, new_run):
    """A config that arrives in parts is one config."""
    run = new_run(config={"lr": 1, "batch": 2})
    store.create(run)
    store.update(run.id, Facts(name="better", config={"lr": 3, "new": 4}, facts={"git": "abc"}))
    store.update(run.id, Facts(state="finished", ended=5.0))
    found = store.run(run.id)
    assert (found.name, found.state, found.ended, found.project) == ("better", "finished", 5.0, "digits")
    assert (found.config, found.facts) == ({"lr": 3, "batch": 2, "new": 4}, {"git": "abc"})


def test_runs_are_listed_newest_first(store, new_run):
    """By project, by state, and no more than asked for."""
    for number in range(4):
        store.create(
            new_run(
                name=f"n{number}",
                created=time.time() - 10 + number,
                project="even" if number % 2 == 0 else "odd",
                state="finished" if number < 2 else "running",
            )
        )
    assert [run.name for run in store.runs(RunQuery())] == ["n3", "n2", "n1", "n0"]
    assert [run.name for run in store.runs(RunQuery(project="even"))] == ["n2", "n0"]
    assert [run.name for run in store.runs(RunQuery(state="running", limit=1))] == ["n3"]


def test_a_run_without_a_heartbeat_is_crashed_until_it_shows_life(place, database, new_run):
    """Five minutes of silence and a running run is reported as crashed; a heartbeat or an append takes that back."""
    now = time.time()
    with LocalStore(place, database=database, clock=lambda: now) as watched:
        run = new_run(created=now)
        watched.create(run)
        now += CRASHED_AFTER + 1
        assert watched.run(run.id).state == "crashed"
        assert [each.id for each in watched.runs(RunQuery(state="crashed"))] == [run.id]
        assert watched.runs(RunQuery(state="running")) == []
        watched.update(run.id, Facts(heartbeat=now))
        assert watched.run(run.id).state == "running"
        now += CRASHED_AFTER + 1
        assert watched.run(run.id).state == "crashed"
        watched.append(run.id, "files/logs/x", 0, b"alive")
        assert watched.runs(RunQuery(state="running"))[0].id == run.id


def test_changes_name_the_runs_that_changed(store, new_run):
    """A reader asks again with the last mark, and hears of each run that changed since, once."""
    one, two = new_run(), new_run()
    store.create(one)
    store.create(two)
    mark, changed = store.changes(0)
    assert set(changed) == {one.id, two.id}
    assert store.changes(mark) == (mark, [])
    store.append(one.id, "files/logs/x", 0, b"a")
    store.append(one.id, "files/logs/x", 1, b"b")
    later, changed = store.changes(mark)
    assert changed == [one.id]
    assert later > mark


def test_what_is_not_there_is_said_so(store, run):
    """An unknown run or series is an error that says where to look."""
    for ask in (store.run, store.series, store.files, lambda run: store.update(run, Facts(name="x"))):
        with pytest.raises(RunNotFound, match="runcast runs"):
            ask("nobody")
    with pytest.raises(SeriesNotFound, match=f"runcast show {run}"):
        store.points(run, "logs", ".", "loss")
