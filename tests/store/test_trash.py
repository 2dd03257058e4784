"""What people do to runs: edits that stay, the trash, and how long runs are kept."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from runcast.errors import RunNotFound, StoreError
from runcast.events.writer import EventWriter
from runcast.store import schema
from runcast.store.local import LocalStore
from runcast.store.protocol import Facts, RunQuery

pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def test_what_a_person_changed_stays(store, new_run):
    """A recorder that knows nothing of it goes on to say the old name and tags; everything else it says is taken."""
    run = new_run(facts={"tags": ["draft"], "notes": "old"})
    store.create(run)
    store.update(run.id, Facts(name="mine", facts={"tags": ["best"], "group": None}, edit=True))
    said = {"tags": ["draft"], "notes": "new", "group": "sweep", "git": "abc"}
    store.update(run.id, Facts(name="first", project="moved", config={"lr": 1}, facts=said))
    found = store.run(run.id)
    assert (found.name, found.project, found.config) == ("mine", "moved", {"lr": 1})
    assert (found.tags, found.notes, found.group, found.facts["git"]) == (("best",), "new", "", "abc")
    store.update(run.id, Facts(name="mine again", project="elsewhere", edit=True))
    store.update(run.id, Facts(name="first", project="moved", state="finished", ended=time.time()))
    found = store.run(run.id)
    assert (found.name, found.project, found.state) == ("mine again", "elsewhere", "finished")
    store.create(run)
    assert store.run(run.id) == found


@pytest.fixture
def full(store, run, tmp_path):
    """A run that has something in every table."""
    writer = EventWriter(tmp_path / "x.tfevents")
    at = 0
    for step in range(4):
        writer.scalars({"loss": float(step)}, step)
        at = store.append(run, "files/logs/x.tfevents", at, writer.path.read_bytes()[at:]).size
    writer.close()
    store.put(run, "saved/model.txt", b"weights")
    store.update(run, Facts(config={"lr": 1}, facts={"tags": ["a"]}))
    return run


def test_a_run_in_the_trash_is_hidden_and_comes_back(store, run, new_run):
    """It is listed only among the trash, watchers hear of it, its recorder goes on recording, and restoring shows all of it."""
    other = new_run(name="other")
    store.create(other)
    mark, _ = store.changes(0)
    store.trash(run)
    assert [each.id for each in store.runs()] == [other.id]
    assert [each.id for each in store.runs(RunQuery(trashed=True))] == [run]
    assert store.run(run).trashed == pytest.approx(time.time(), abs=10)
    mark, changed = store.changes(mark)
    assert changed == [run]
    assert store.append(run, "files/logs/x", 0, b"more").size == 4
    store.restore(run)
    store.restore(run)
    assert {each.id for each in store.runs()} == {run, other.id}
    assert store.run(run).trashed is None
    assert store.read(run, "files/logs/x", 0, 9) == b"more"
    assert store.changes(mark)[1] == [run]


def test_a_purged_run_leaves_nothing(store, full, new_run):
    """Only what is in the trash is deleted; then it is gone from every table and from the disk, for good, and watchers hear of it."""
    record = store.run(full)
    with pytest.raises(StoreError, match="not in the trash"):
        store.purge(full)
    store.trash(full)
    mark, _ = store.changes(0)
    folder = store.path(full, "saved/model.txt").parents[1]
    assert folder.exists()
    store.purge(full)
    assert not folder.exists()
    with store.database.read() as connection:
        for table in schema.metadata.sorted_tables:
            if "run" in table.c and table is not schema.pulse:
                assert not connection.execute(sa.select(table)).all(), table.name
    later, changed = store.changes(mark)
    assert changed == [full]
    for ask in (store.run, store.purge, store.trash, lambda run: store.append(run, "files/logs/x", 0, b"x")):
        with pytest.raises(RunNotFound):
            ask(full)
    with pytest.raises(RunNotFound, match="for good"):
        store.create(record)
    other = new_run()
    store.create(other)
    assert store.changes(later)[1] == [other.id]


def test_runs_grow_old(place, database, new_run):
    """A project keeps its runs for so long after they ended; then they are in the trash for a month, and then gone."""
    day = 86400.0
    now = 1_760_000_000.0
    with LocalStore(place, database=database, clock=lambda: now) as store:
        over = {"state": "finished", "created": now - 9 * day}
        old = new_run(project="short", ended=now - 8 * day, **over)
        young = new_run(project="short", ended=now - 2 * day, **over)
        alive = new_run(project="short", created=now - 9 * day, heartbeat=now - 10)
        silent = new_run(project="short", created=now - 9 * day, heartbeat=now - 8 * day)
        kept = new_run(project="long", ended=now - 8 * day, **over)
        for run in (old, young, alive, silent, kept):
            store.create(run)
        store.keep_for("short", 7 * day)
        store.keep_for("long", 1.0)
        store.keep_for("long", None)
        assert store.kept_for() == {"short": 7 * day}
        trashed, purged = store.expire()
        assert (set(trashed), purged) == ({old.id, silent.id}, [])
        assert store.expire() == ([], [])
        assert {run.id for run in store.runs()} == {young.id, alive.id, kept.id}
        assert store.expire(now + 29 * day)[1] == []
        assert set(store.expire(now + 31 * day)[1]) == {old.id, silent.id}
        with pytest.raises(RunNotFound):
            store.run(old.id)
