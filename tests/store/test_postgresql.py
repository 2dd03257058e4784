"""The index on PostgreSQL: several servers at once, and a database that goes away."""

from __future__ import annotations

import random
import threading
import time

import pytest

from runcast.errors import StoreError
from runcast.events.writer import EventWriter
from runcast.store import schema
from runcast.store.local import LocalStore
from runcast.store.protocol import Append, Appended, Facts, OffsetMismatch

PATH = "files/logs/x.tfevents"


@pytest.fixture
def event_file(tmp_path):
    """An event file of 3000 points: three tags, one of which restarts in the middle."""
    writer = EventWriter(tmp_path / "x.tfevents")
    for step in range(1000):
        writer.scalars({"loss": 1 / (step + 1), "accuracy": step / 1000}, step, 100.0 + step)
        writer.scalars({"restarts": float(step)}, step if step < 500 else step - 250, 100.0 + step)
    writer.close()
    return writer.path.read_bytes()


def contents(store, run):
    """All that the index says of a run's series and files."""
    bounds = [(s.tag, s.count, s.first_step, s.last_step, s.last, s.min, s.max) for s in store.series(run)]
    points = []
    for series in store.series(run):
        columns = store.points(run, series.root, series.source, series.tag)
        points.append([column.tobytes() for column in (columns.step, columns.wall_time, columns.value)])
    return bounds, points, [(file.path, file.size, file.records) for file in store.files(run)]


@pytest.fixture
def undisturbed(tmp_path, event_file, new_run):
    """What the index says when nothing goes wrong."""
    with LocalStore(tmp_path / "undisturbed") as store:
        run = new_run()
        store.create(run)
        store.append(run.id, PATH, 0, event_file)
        return contents(store, run.id)


def pump(store, runs, data, piece, rng, stop=None):
    """Append the file to runs, a few at a time in any order, from wherever the store is, until it has all."""
    left = set(runs)
    sizes = dict.fromkeys(runs, 0)
    while left and not (stop and stop.is_set()):
        some = rng.sample(sorted(left), min(3, len(left)))
        appends = {run: [Append(PATH, sizes[run], data[sizes[run] : sizes[run] + piece])] for run in some}
        for run, (answer,) in store.append_runs(appends).items():
            if isinstance(answer, (Appended, OffsetMismatch)):
                sizes[run] = answer.size
            else:
                time.sleep(0.05)
            if sizes[run] == len(data):
                left.discard(run)


def test_servers_append_to_the_same_runs_at_once(place, postgresql_url, new_run, event_file, undisturbed):
    """Three servers get a run's requests in turn or at once, and group them as they come: no byte is lost or doubled."""
    runs = [new_run() for _ in range(4)]
    stores = [LocalStore(place, database=postgresql_url) for _ in range(3)]
    for run in runs:
        stores[0].create(run)
    ids = [run.id for run in runs]
    threads = [
        threading.Thread(
            target=pump, args=(store, ids, event_file, 4000 + 700 * number, random.Random(number))
        )
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    heard: dict[str, int] = {}
    mark = 0
    while any(thread.is_alive() for thread in threads):
        mark, changed = stores[1].changes(mark)
        heard |= dict.fromkeys(changed, mark)
        time.sleep(0.002)
    for thread in threads:
        thread.join()
    for run in ids:
        assert contents(stores[2], run) == undisturbed
        assert stores[0].size(run, PATH) == len(event_file)
    assert set(heard) == set(ids)
    for store in stores:
        store.close()


def test_a_server_that_goes_on_when_the_database_comes_back(
    place, postgresql, postgresql_url, new_run, event_file, undisturbed
):
    """PostgreSQL crashes and is restarted while runs are recorded: requests fail meanwhile, and everything is there afterwards."""
    run = new_run()
    with LocalStore(place, database=postgresql_url) as store:
        store.create(run)
        thread = threading.Thread(target=pump, args=(store, [run.id], event_file, 2500, random.Random(1)))
        thread.start()
        for crash in (True, False, True):
            time.sleep(0.1)
            postgresql.stop(crash=crash)
            with pytest.raises(StoreError, match=r"PostgreSQL runs|try again|not be"):
                store.run(run.id)
            (answer,) = store.append_runs({run.id: [Append("files/logs/other", 0, b"x")]})[run.id]
            assert isinstance(answer, StoreError)
            postgresql.start()
            store.run(run.id)
        thread.join()
        assert contents(store, run.id) == undisturbed


def test_a_change_that_is_committed_late_is_heard_of(place, postgresql_url, new_run):
    """A reader asks again and again while one writer takes its time and others overtake it: it hears of all of them."""
    slow, quick = new_run(), new_run()
    with LocalStore(place, database=postgresql_url) as store:
        store.create(slow)
        store.create(quick)
        mark, _ = store.changes(0)
        assert store.changes(mark)[1] == []
        with store.database.change([slow.id]) as (connection, locked):
            change = {"change": locked.mark}
            connection.execute(schema.pulse.update().where(schema.pulse.c.run == slow.id).values(change))
            store.update(quick.id, Facts(name="renamed"))
            mark, changed = store.changes(mark)
            assert changed == [quick.id]
            store.update(quick.id, Facts(name="again"))
            mark, changed = store.changes(mark)
            assert changed == [quick.id]
        mark, changed = store.changes(mark)
        assert slow.id in changed
        assert store.changes(mark)[1] == []
        assert store.mark() >= mark


def test_marks_go_on_rising_on_another_server(place, postgresql_url, new_run):
    """A dump that is restored where transactions have lower numbers: readers that come back with their old mark miss nothing."""
    run = new_run()
    with LocalStore(place, database=postgresql_url) as store:
        store.create(run)
        with store.database.write() as connection:
            connection.execute(schema.pulse.update().values(change=10**12))
    with LocalStore(place, database=postgresql_url) as store:
        mark, _ = store.changes(10**12)
        assert mark >= 10**12
        store.update(run.id, Facts(name="renamed"))
        assert store.changes(mark)[1] == [run.id]
        assert store.changes(10**12)[1] == [run.id]


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda url: url.replace("/test_", "/missing_"), "createdb"),
        (lambda url: url.replace("runcast@", "nobody:secret@"), "password"),
        (lambda url: url[: url.rindex(":")] + ":1/x", "can be reached"),
        (lambda _: "mysql://host/x", "cannot be understood"),
        (lambda _: "store.db", "cannot be understood"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_so(place, postgresql_url, change, advice):
    """The error says what to do, and shows no password."""
    with pytest.raises(StoreError, match=advice) as error:
        LocalStore(place, database=change(postgresql_url))
    assert "secret" not in str(error.value)
