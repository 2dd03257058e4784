"""An index that is lost, or wrong, is made anew from what is kept of the runs."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import astuple, replace

import pytest
from filelock import FileLock

from runcast.errors import RunNotFound
from runcast.events.writer import EventWriter
from runcast.run.journal import Journal
from runcast.run.record import RunRecord, new_run_id
from runcast.store.local import LocalStore
from runcast.store.protocol import Facts, FileRecord, RunQuery


def record(store, run, source, name, points, *, spoil=False):
    """Record an event file of a run, in pieces; `spoil` flips a bit of its second record, and passes it over."""
    path = f"files/logs/{source}/{name}"
    writer = EventWriter(store.root / "sources" / run / source / name)
    for tag, step, value, wall_time in points:
        writer.scalars({tag: value}, step, wall_time)
    writer.close()
    data = bytearray(writer.path.read_bytes())
    if spoil:
        data[120] ^= 1
    at = store.size(run, path)
    while at < len(data):
        size = store.append(run, path, at, bytes(data[at : at + 700]), final=spoil).size
        at = size if size > at else store.append(run, path, at, bytes(data[at:]), final=True).size
    return path


def fill(store):
    """Make runs with all that a store can be told of them; return their ids."""
    runs = [new_run_id() for _ in range(4)]
    for number, run in enumerate(runs):
        facts = {"tags": ["a"], "host": "h", "group": "g"}
        store.create(
            RunRecord(
                run,
                "p",
                f"run {number}",
                "running",
                1e9 + number,
                config={"lr": 0.1, "n": None},
                heartbeat=time.time(),
                facts=facts,
            )
        )
    first, second, third, _ = runs
    record(
        store,
        first,
        "b",
        "events.out.tfevents.2.h",
        [("loss", step, step / 3, 200.0 + step) for step in range(300)],
    )
    record(
        store,
        first,
        "a",
        "events.out.tfevents.1.h",
        [("acc", step % 40, float(step), 100.0 + step) for step in range(100)],
    )
    record(store, first, "a", "events.out.tfevents.3.h", [(tag, step, -1.0, 400.0 + step) for step in range(20, 60) for tag in ("new", "acc")])  # fmt: skip
    record(store, first, "c", "events.out.tfevents.4.h", [("x", step, math.nan if step % 2 else 1.0, 5.0 + step) for step in range(20)], spoil=True)  # fmt: skip
    store.append(first, "files/logs/graph.pbtxt", 0, b"node {}")
    store.put(first, "saved/model.pt", b"old")
    store.put(first, "saved/model.pt", b"weights")
    store.put(first, "code/train.py", b"print()")
    store.describe(
        first, FileRecord("files/logs/waiting", 0, source_path="/x", state="waiting", why="no permission")
    )
    store.describe(first, FileRecord("saved/model.pt", 0, source_path="/m", source_size=9, state="recorded"))
    store.update(
        first, Facts(config={"lr": 0.2}, facts={"host": None, "more": [1, {"x": 2}], "summary": {"best": 1}})
    )
    store.update(first, Facts(state="finished", ended=2e9, heartbeat=2e9))
    store.update(second, Facts(name="a person's", facts={"tags": ["b"]}, edit=True))
    store.update(second, Facts(name="the script's", facts={"tags": ["c"], "notes": "n"}))
    record(
        store,
        second,
        "d",
        "events.out.tfevents.1.h",
        [("loss", step, float(step), 1.0 + step) for step in range(10)],
    )
    store.update(third, Facts(state="failed", ended=3e9, heartbeat=3e9))
    store.trash(third)
    return runs


def answers(store, runs):
    """All that the store says of runs, but for when those that still run were last heard of."""
    found = {}
    for run in runs:
        record = store.run(run)
        series = store.series(run)
        found[run] = [
            record if record.ended else replace(record, heartbeat=None),
            series,
            store.files(run),
            [[column.tobytes() for column in astuple(store.points(run, *key(each)))] for each in series],
            [
                [column.tobytes() for column in astuple(store.points(run, *key(each), pixels=7))]
                for each in series
            ],
            [store.read(run, each.path, 0, 1 << 40) for each in store.files(run)],
        ]
    listed = [each.id for each in store.runs(RunQuery(project="p"))]
    by_group = [each.id for each in store.runs(RunQuery(group="g", tags=("b",)))]
    return found, listed, by_group


def key(series):
    return series.root, series.source, series.tag


def rebuild(store):
    reindex = store.reindex()
    return {run: reindex.rebuild(run).outcome for run in reindex.runs()}


@pytest.fixture(params=["sqlite", "postgresql+s3"])
def open_store(request, tmp_path):
    """Open the same place, with the same database or a new one."""
    opened = []
    files = request.getfixturevalue("s3").address() if "s3" in request.param else None

    def open_one(*, new_database=False):
        if new_database:
            while opened:
                opened.pop().close()
            for path in tmp_path.glob("store/store.db*"):
                path.unlink()
        database = None
        if files is not None:
            if new_database or not hasattr(open_one, "database"):
                open_one.context = request.getfixturevalue("postgresql").database()
                open_one.database = open_one.context.__enter__()
            database = open_one.database
        opened.append(LocalStore(tmp_path / "store", database=database, files=files))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


def test_an_index_made_anew_says_the_same(open_store):
    """In place or in an empty database, every answer is what it was: numbers, restarts, bad records, edits, the trash."""
    store = open_store()
    runs = fill(store)
    before = answers(store, runs)
    assert rebuild(store) == dict.fromkeys(runs, "rebuilt")
    assert answers(store, runs) == before
    if store._sealer is not None:
        store._sealer.sweep(everything=True)
    mark, _ = store.changes(0)
    store = open_store(new_database=True)
    assert store.runs() == []
    assert rebuild(store) == dict.fromkeys(runs, "rebuilt")
    assert answers(store, runs) == before
    # The rebuilt index is one that goes on: more is appended, and rebuilt again.
    path = record(
        store,
        runs[1],
        "d",
        "events.out.tfevents.1.h",
        [("loss", step, float(step), 1.0 + step) for step in range(15)],
    )
    assert store.series(runs[1])[0].count == 15
    if mark < 1 << 50:
        assert runs[1] in store.changes(mark)[1]
    store.append(runs[3], "files/logs/late.txt", 0, b"late")
    after = answers(store, runs)
    assert rebuild(store) == dict.fromkeys(runs, "rebuilt")
    assert answers(store, runs) == after
    assert store.size(runs[1], path) > 0


def test_what_was_deleted_for_good_stays_deleted(open_store):
    """A new database knows which runs were deleted: nobody brings them back, and what a crash left of one goes."""
    store = open_store()
    runs = fill(store)
    for run in runs[:2]:
        store.trash(run)
        if run == runs[1]:  # the process dies before it has deleted the files
            store._files.remove = lambda _: None
        store.purge(run)
    del store._files.remove
    for new_database in (False, True):
        if new_database:
            if store._sealer is not None:
                store._sealer.sweep(everything=True)
            store = open_store(new_database=True)
        outcomes = rebuild(store)
        assert outcomes.pop(runs[1], "purged") == "purged"
        assert outcomes == dict.fromkeys(runs[2:], "rebuilt")
        for run in runs[:2]:
            with pytest.raises(RunNotFound, match="deleted from this store for good"):
                store.create(RunRecord(run, "p", "again", "running", 1e9))
        assert sorted(store._files.runs()) == sorted(runs[2:])


def test_a_run_of_an_older_runcast_is_found_by_its_own_journal(place, store):
    """Without the store's journal the run's own says what it is; after a rebuild the store has one."""
    run = new_run_id()
    store.create(RunRecord(run, "p", "n", "running", 1e9, config={"lr": 1}))
    record(
        store, run, "a", "events.out.tfevents.1.h", [("loss", step, 1.0, 1.0 + step) for step in range(10)]
    )
    folder = place / "runs" / run
    (folder / "store.jsonl").unlink()
    (folder / "own").mkdir()
    (folder / "own" / "notebook.ipynb").write_text("{}")
    Journal(folder / "run.jsonl", by="kernel:1").append(
        "start", run=run, project="p", name="n", config={"lr": 1}, created=1e9
    )
    (place / "runs" / "rubbish").mkdir()
    before = store.series(run), store.files(run)
    store.close()
    for path in place.glob("store.db*"):
        path.unlink()
    for _ in range(2):
        with LocalStore(place) as again:
            assert rebuild(again) == {run: "rebuilt", "rubbish": "unknown"}
            assert (again.series(run), again.files(run)) == before
            assert (again.run(run).name, again.run(run).config) == ("n", {"lr": 1})
        (folder / "run.jsonl").unlink(missing_ok=True)


def test_what_was_torn_or_spoiled_costs_no_more_than_itself(place, store):
    """Half a line in the journal and half a record in a file are passed over; a run that is being recorded is left alone."""
    runs = fill(store)
    before = answers(store, runs)
    folder = place / "runs" / runs[0]
    with (folder / "store.jsonl").open("ab") as file:
        file.write(b'{"v":1,"time":1,"op":"set","run":{"name":"ha')
    with store.path(runs[0], "files/logs/b/events.out.tfevents.2.h").open("ab") as file:
        file.write(bytes(30))
    with FileLock(place / "runs" / runs[1] / "recorder.lock"):
        outcomes = rebuild(store)
    assert outcomes == {**dict.fromkeys(runs, "rebuilt"), runs[1]: "recording"}
    assert answers(store, runs) == before
    store.update(runs[0], Facts(name="later"))
    shutil.rmtree(place / "runs" / runs[3])
    assert rebuild(store)[runs[0]] == "rebuilt"
    assert store.run(runs[0]).name == "later"


def test_readers_see_the_old_index_or_the_new(place, store, run):
    """While a run is rebuilt over and over, whoever reads it finds all of its points, each time."""
    import threading

    record(
        store, run, "a", "events.out.tfevents.1.h", [("loss", step, 1.0, 1.0 + step) for step in range(2000)]
    )
    stop = threading.Event()
    counts = set()

    def read():
        with LocalStore(place) as reader:
            while not stop.is_set():
                counts.add((reader.series(run)[0].count, len(reader.points(run, "logs", "a", "loss").step)))

    thread = threading.Thread(target=read)
    thread.start()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        assert rebuild(store) == {run: "rebuilt"}
    stop.set()
    thread.join()
    assert counts == {(2000, 2000)}
