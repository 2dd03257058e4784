"""What a run is, who changed it, and which there are: the same on every store."""

from __future__ import annotations

import time

import pytest

from runcast.errors import RunNotFound
from runcast.run.record import RunRecord, new_run_id
from runcast.store.protocol import Facts, RunQuery


def test_a_run_comes_back_as_it_was(store, project):
    """Names, times, config and facts come back; making it again changes nothing."""
    config = {"lr": 0.1, "deep": {"é": [1, None, "x"]}, "none": None}
    facts = {"tags": ["a", "b"], "notes": "line\nline", "group": "g", "job_type": "train", "host": "h"}
    run = RunRecord(
        new_run_id(), project, "näme", "running", 1e9, heartbeat=time.time(), config=config, facts=facts
    )
    store.create(run)
    store.create(run)
    found = store.run(run.id)
    assert (found.id, found.project, found.name, found.state, found.created) == (
        run.id,
        project,
        "näme",
        "running",
        1e9,
    )
    assert (found.config, found.facts, found.tags, found.group) == (config, facts, ("a", "b"), "g")


def test_facts_are_merged_key_by_key(store, run):
    """An update leaves what it does not name; None takes a fact away."""
    store.update(run, Facts(name="second", config={"lr": 1, "x": None}, facts={"a": 1, "b": 2}))
    store.update(run, Facts(config={"lr": 2}, facts={"a": None, "c": [3]}))
    found = store.run(run)
    assert (found.name, found.config, found.facts) == ("second", {"lr": 2, "x": None}, {"b": 2, "c": [3]})


def test_a_run_ends_and_goes_on(store, run):
    """Its end is known until it is running again."""
    store.update(run, Facts(state="failed", ended=2e9))
    assert (store.run(run).state, store.run(run).ended) == ("failed", 2e9)
    store.update(run, Facts(state="running", heartbeat=time.time()))
    assert (store.run(run).state, store.run(run).ended) == ("running", None)


def test_runs_are_listed_newest_first(store, new_run, project):
    """By project, state, tags and group, and only so many."""
    runs = [
        new_run(created=1e9 + number, facts={"group": "g" if number else "h", "tags": ["all", f"t{number}"]})
        for number in range(3)
    ]
    store.update(runs[1], Facts(state="finished", ended=2e9))

    def listed(**query):
        return [run.id for run in store.runs(RunQuery(project=project, **query))]

    assert listed() == runs[::-1]
    assert listed(limit=2) == [runs[2], runs[1]]
    assert listed(state="finished") == [runs[1]]
    assert listed(tags=("all", "t2")) == [runs[2]]
    assert listed(group="h") == [runs[0]]


def test_changes_name_the_runs_that_changed(store, new_run, settle):
    """After a mark, whatever is done to a run names it once at least; sealing is no change."""
    first, second = new_run(), new_run()
    mark, changed = store.changes(0)
    assert {first, second} <= set(changed)
    store.append(first, "files/a/x", 0, b"x")
    settle()
    later, changed = store.changes(mark)
    assert first in changed
    store.update(second, Facts(name="other"))
    _, changed = store.changes(later)
    assert second in changed


def test_a_persons_edits_win_over_what_the_recorder_says_later(store, run):
    """A name that somebody gave stays when the run's own facts come again; other facts are taken."""
    store.update(run, Facts(name="by a person", facts={"tags": ["mine"]}, edit=True))
    store.update(run, Facts(name="by the script", config={"lr": 3}, facts={"tags": ["auto"], "host": "h"}))
    found = store.run(run)
    assert (found.name, found.tags, found.config["lr"], found.facts["host"]) == (
        "by a person",
        ("mine",),
        3,
        "h",
    )


def test_the_trash_gives_back(kept, store, new_run, project):
    """A run in the trash is in no list, and comes back as it was; deleted for good, nothing of it is left."""
    run, other = new_run(), new_run()
    store.append(run, "files/a/x", 0, b"bytes")
    store.put(run, "saved/a", b"whole")
    kept.settle()
    store.append(run, "files/a/x", 5, b" and more")
    store.trash(run)
    assert [each.id for each in store.runs(RunQuery(project=project))] == [other]
    store.restore(run)
    assert store.read(run, "files/a/x", 0, 99) == b"bytes and more"
    store.trash(run)
    kept.local.purge(run)
    with pytest.raises(RunNotFound):
        store.run(run)
    assert run not in set(kept.local._files.runs())
