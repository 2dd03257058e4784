"""Files in a bucket: what becomes an object and when, and what happens when the bucket, a process or a replica fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import select

from runcast.errors import SettingsError, StoreError
from runcast.events.wire import sized
from runcast.events.writer import _record
from runcast.objects import ObjectGone, Objects
from runcast.run.record import RunRecord, new_run_id
from runcast.store import schema
from runcast.store.local import LocalStore
from runcast.store.places import bucket as bucket_module
from runcast.store.places.sealing import QUIET, SEGMENT, Sealer
from runcast.store.protocol import Facts, OffsetMismatch

ALL = 1 << 40
PATH = "files/logs/log.txt"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 1e9

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def address(s3):
    return s3.address()


@pytest.fixture
def open_store(tmp_path, address, clock, postgresql_url):
    """Open servers on one PostgreSQL and S3, whose tails are sealed when the test says so."""
    opened = []

    def open_one():
        store = LocalStore(tmp_path, database=postgresql_url, files=address, own_in_place=False, clock=clock)
        store._sealer.close()
        store._sealer = Sealer(store._files)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def replica(open_store, store):
    """Another server on the same database and bucket."""
    return open_store()


@pytest.fixture
def run(store):
    record = RunRecord(new_run_id(), "p", "n", "running", 1e9)
    store.create(record)
    return record.id


def tails(store):
    """What is in the database only: (file, start, stop) of each piece."""
    tail = schema.tail.c
    with store.database.read() as connection:
        return [
            tuple(row)
            for row in connection.execute(
                select(tail.file, tail.start, tail.stop).order_by(*schema.tail.primary_key)
            )
        ]


def objects(store, run):
    """The names of a run's segments, but for the journal's, and their sizes."""
    prefix = f"runs/{run}/segments/"
    found = dict(store._files.objects.walk(f"runs/{run}"))
    return {name.removeprefix(prefix): size for name, size in found.items() if "store.jsonl" not in name}


def test_a_tail_is_sealed_when_it_is_long_or_still_or_at_the_end(store, run, clock):
    """Segments end at multiples of 8 MiB while a file grows; what has been still for ten minutes, or is the end, is sealed too."""
    data = os.urandom(2 * SEGMENT + 1000)
    store.append(run, PATH, 0, data[: SEGMENT - 1])
    assert store._sealer.sweep() == 0
    store.append(run, PATH, SEGMENT - 1, data[SEGMENT - 1 : 2 * SEGMENT + 10])
    assert store._sealer.sweep() == 2
    assert objects(store, run) == {f"{PATH}/0-{SEGMENT}": SEGMENT, f"{PATH}/{SEGMENT}-{2 * SEGMENT}": SEGMENT}
    assert (1, 2 * SEGMENT, 2 * SEGMENT + 10) in tails(store)
    clock.now += QUIET - 1
    store.append(run, PATH, 2 * SEGMENT + 10, data[2 * SEGMENT + 10 : 2 * SEGMENT + 500])
    clock.now += 2
    store._sealer.sweep()
    assert [stop for file, _, stop in tails(store) if file] == [2 * SEGMENT + 10, 2 * SEGMENT + 500]
    clock.now += QUIET
    store._sealer.sweep()
    assert tails(store) == []
    store.append(run, PATH, 2 * SEGMENT + 500, data[2 * SEGMENT + 500 :])
    store.update(run, Facts(state="finished", ended=1e9))
    store._sealer.sweep()
    assert tails(store) == []
    assert len(objects(store, run)) == 4
    assert store.read(run, PATH, 0, ALL) == data


def test_small_appends_are_few_rows(store, run):
    """A thousand small appends do not make a thousand rows, and come back byte for byte."""
    data = os.urandom(200_000)
    for at in range(0, len(data), 200):
        store.append(run, PATH, at, data[at : at + 200])
    assert len([piece for piece in tails(store) if piece[0]]) <= bucket_module.MOST_SMALL + 5
    assert store.read(run, PATH, 0, ALL) == data


def test_a_long_record_is_several_pieces(store, run):
    """A record of any length is recorded; no row of the database holds more than 8 MiB of it."""
    record = _record(b"\x1a" + sized(b"brain.Event:2") + b"\xfa\x07" + sized(bytes(range(256)) * 40_000))
    path = "files/logs/events.out.tfevents.1.host"
    assert store.append(run, path, 0, record).size == len(record)
    assert max(stop - start for _, start, stop in tails(store)) == SEGMENT
    store._sealer.sweep()
    assert objects(store, run) == {f"{path}/0-{SEGMENT}": SEGMENT}
    assert store.read(run, path, 0, ALL) == record


def test_a_whole_file_is_read_as_it_was_opened(store, run):
    """Who has a file open is never given another one's bytes; to whom it is gone, it is said."""
    store.put(run, "saved/a", b"old" * 1000)
    content = store.open(run, "saved/a")
    assert (content.size, content.read(0, 6)) == (3000, b"oldold")
    store.put(run, "saved/a", b"new")
    with pytest.raises(ObjectGone):
        content.read(6, 12)
    again = store.open(run, "saved/a")
    assert (again.size, again.read(0, 6), store.read(run, "saved/a", 0, ALL)) == (3, b"new", b"new")
    assert again.version != content.version


KILLED = """
import os, signal, sys
from pathlib import Path
from runcast.store.local import LocalStore
from runcast.store.places.sealing import Sealer

place, database, files, step = sys.argv[1:]
store = LocalStore(Path(place), database=database, files=files)
objects, database = store._files.objects, store.database

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(act):
    def act_and_die(*arguments):
        act(*arguments)
        die()
    return act_and_die

if step == "before the object":
    objects.create = die
elif step == "after the object":
    objects.create = dying(objects.create)
elif step == "before the commit":
    import runcast.store.places.sealing as sealing
    sealing._drop = dying(sealing._drop)
Sealer(store._files).sweep(everything=True)
die()
"""


def test_a_process_killed_between_any_two_steps_loses_and_doubles_nothing(
    store, run, tmp_path, address, postgresql_url
):
    """A server dies while it seals: every byte is there once, before and after the next one seals."""
    data = os.urandom(100_000)
    at = 0
    steps = ("before the object", "after the object", "before the commit", "after the commit")
    processes = []
    for number, step in enumerate(steps):
        store.append(run, PATH, at, data[at : at + 25_000])
        at += 25_000
        command = [sys.executable, "-c", KILLED, str(tmp_path), postgresql_url, address, step]
        processes.append(subprocess.run(command, timeout=60).returncode)
        assert store.read(run, PATH, 0, ALL) == data[:at], step
        assert store.append(run, PATH, 0, b"again") == OffsetMismatch(at)
        if number % 2:
            store._sealer.sweep(everything=True)
            assert store.read(run, PATH, 0, ALL) == data[:at], step
    assert processes == [-signal.SIGKILL] * 4
    assert tails(store) == []


def test_replicas_that_seal_at_once_do_the_work_once(store, replica, run):
    """Two servers append to one run in turns and seal all the time; a reader of either finds every byte once."""
    data = os.urandom(300_000)
    stop = threading.Event()
    problems = []

    def seal(server):
        try:
            while not stop.is_set():
                server._sealer.sweep(everything=True)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=seal, args=(server,)) for server in (store, replica)]
    for thread in threads:
        thread.start()
    for number, at in enumerate(range(0, len(data), 10_000)):
        server, other = (store, replica) if number % 2 else (replica, store)
        server.append(run, PATH, at, data[at : at + 10_000])
        assert other.read(run, PATH, 0, ALL) == data[: at + 10_000]
        assert other.append(run, PATH, at, data[at : at + 10_000]) == OffsetMismatch(at + 10_000)
    stop.set()
    for thread in threads:
        thread.join()
    store._sealer.sweep(everything=True)
    assert problems == []
    assert tails(store) == []
    assert sum(objects(store, run).values()) >= len(data)
    assert replica.read(run, PATH, 0, ALL) == data


@pytest.mark.parametrize("status", [500, 0])
def test_a_bucket_that_fails_stops_neither_appends_nor_reads_of_what_is_new(
    store, run, s3, status, monkeypatch
):
    """While the bucket answers 500, or not at all, runs are recorded; what is only there is said to be out of reach; then all is well."""
    if status == 0:
        monkeypatch.setattr("runcast.objects.TIMEOUT", timedelta(seconds=1.5))
        monkeypatch.setattr("runcast.objects.RETRIES", 0)
        store._files.objects = Objects(s3.address(store._files.objects.address.rpartition("/")[2]))
    store.append(run, PATH, 0, b"old")
    store._sealer.sweep(everything=True)
    with s3.failing(status):
        store.append(run, PATH, 3, b"new")
        assert store.read(run, PATH, 3, 6) == b"new"
        with pytest.raises(StoreError, match="check that the bucket"):
            store.read(run, PATH, 0, 6)
        with pytest.raises(StoreError, match="cannot write s3://"):
            store.put(run, "saved/a", b"x")
        with pytest.raises(StoreError):
            store._sealer.sweep(everything=True)
        assert store.size(run, PATH) == 6
    assert [file.path for file in store.files(run)] == [PATH]
    store._sealer.sweep(everything=True)
    assert tails(store) == []
    assert store.read(run, PATH, 0, 6) == b"oldnew"


def test_the_sealing_thread_goes_on_after_a_failure(store, run, s3, monkeypatch, caplog):
    """It says that the bucket fails, and seals when it is back."""
    monkeypatch.setattr("runcast.store.places.sealing.SWEEP", 0.05)
    store.append(run, PATH, 0, b"bytes")
    store.update(run, Facts(state="finished", ended=1e9))
    with s3.failing(500):
        store._sealer.start()
        deadline = time.monotonic() + 20
        while "stays in the database for now" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert tails(store)
    while tails(store):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert store.read(run, PATH, 0, 9) == b"bytes"


def test_an_object_of_somebody_else_is_never_taken_for_ours(store, run, caplog):
    """Other bytes where a segment should be are left alone and said; ours stay in the database."""
    store._files.objects.put(f"runs/{run}/segments/{PATH}/0-5", b"other")
    store.append(run, PATH, 0, b"bytes")
    for _ in range(2):
        store._sealer.sweep(everything=True)
    assert caplog.text.count("with other bytes") == 1
    assert store.read(run, PATH, 0, 9) == b"bytes"


def test_a_run_that_is_deleted_leaves_no_object(store, run):
    """Deleting for good takes every version and segment along, also what is sealed at that moment."""
    store.append(run, PATH, 0, b"bytes")
    store.put(run, "saved/a", b"1")
    store.put(run, "saved/a", b"2")
    store._sealer.sweep(everything=True)
    store.append(run, PATH, 5, b"more")
    create = store._files.objects.create

    def create_late(name, data):
        store.trash(run)
        store.purge(run)
        return create(name, data)

    store._files.objects.create = create_late
    store._sealer.sweep(everything=True)
    assert list(store._files.objects.walk("runs")) == []
    assert tails(store) == []


def test_bytes_that_are_nowhere_are_said_to_be_missing(store, run):
    """An object that somebody deleted is an error that names it, never a shorter file."""
    store.append(run, PATH, 0, b"bytes")
    store._sealer.sweep(everything=True)
    store.append(run, PATH, 5, b"more")
    store._files.objects.delete([f"runs/{run}/segments/{PATH}/0-5"])
    with pytest.raises(StoreError, match="no such object"):
        store.read(run, PATH, 0, 9)
    with store.database.write() as connection:
        connection.execute(schema.segment.delete().where(schema.segment.c.run == run))
    with pytest.raises(StoreError, match=r"bytes 0 to 5 .* are missing"):
        store.read(run, PATH, 0, 9)


@pytest.mark.parametrize(
    ("address", "variable"),
    [
        ("s3://bucket/x", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container/y", "AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_nobody_is_asked_who_we_are(address, variable, tmp_path):
    """Without credentials the error says which to set; no address of a cloud's machines is called."""
    keep = {"PATH", "PYTHONPATH", "SYSTEMROOT"}
    env = {name: value for name, value in os.environ.items() if name in keep} | {"HOME": str(tmp_path)}
    code = f"from runcast.objects import Objects; Objects({address!r})"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=30)
    assert f"SettingsError: nothing says who opens {address}: set {variable}" in done.stderr


@pytest.mark.parametrize("address", ["bucket", "ftp://x/y", "s3:///x", "http://x"])
def test_what_is_no_bucket_is_refused(address):
    """The error says how to write it."""
    with pytest.raises(SettingsError, match="s3://bucket/prefix"):
        Objects(address)


def test_a_folder_does_not_import_obstore():
    """Only a bucket needs it."""
    code = "import runcast.store.local, sys; sys.exit('obstore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
