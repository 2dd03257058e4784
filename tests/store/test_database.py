"""When the folder or its database cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

import runcast.store
from runcast.errors import StoreError
from runcast.events.writer import EventWriter
from runcast.run.record import new_run_id
from runcast.store.local import LocalStore
from runcast.store.sqlite import network_filesystem


def test_the_door_from_python(place, new_run):
    """`runcast.store.open()` opens the store that RUNCAST_DIR names."""
    run = new_run()
    with runcast.store.open() as store:
        store.create(run)
    with runcast.store.open(str(place)) as store:
        assert store.runs()[0].id == run.id


def test_a_database_that_is_none_is_said_so(place):
    """A damaged store.db is an error that names the file."""
    place.mkdir()
    (place / "store.db").write_bytes(b"this is no database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match=r"store\.db"):
        LocalStore(place)


def test_a_file_in_the_way_is_said_so(tmp_path):
    """A store cannot be kept in a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="set RUNCAST_DIR"):
        LocalStore(tmp_path / "file")


def test_reading_never_waits_for_writing(place, store, run):
    """The store is in WAL mode on a local disk."""
    with sqlite3.connect(place / "store.db") as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    connection.close()
    assert store.network == ""
    with store._database.write() as writing, store._database.read() as reading:
        writing.exec_driver_sql("update run set name = 'other'")
        assert reading.exec_driver_sql("select name from run").scalar() == "first"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its mounts")
def test_network_file_systems_are_told_apart(tmp_path):
    """A folder on a local disk is not on a network."""
    assert network_filesystem(tmp_path) == ""
    assert network_filesystem(tmp_path / "not" / "there") == ""


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for some 600 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs Linux and root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_said_so_and_loses_nothing(small_disk, new_run, tmp_path):
    """On a full disk an append fails with what to do; once there is room, the same append goes through."""
    writer = EventWriter(tmp_path / "x.tfevents")
    for step in range(12_000):
        writer.scalars({"loss": step * 0.1}, step)
    writer.close()
    data = writer.path.read_bytes()
    run, path = new_run(), "files/logs/x.tfevents"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(250_000))
    with LocalStore(small_disk / "store") as store:
        store.create(run)
        at = failures = 0
        while at < len(data) and failures < 3:
            error = None
            try:
                at = store.append(run.id, path, at, data[at : at + 20_000]).size
            except StoreError as refused:
                error = refused
            if error:
                assert "free space" in str(error)
                failures += 1
                assert store.size(run.id, path) == at
                assert len(store.points(run.id, "logs", ".", "loss").step) == store.series(run.id)[0].count
        assert failures == 3
        subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
        while at < len(data):
            at = store.append(run.id, path, at, data[at : at + 20_000]).size
        assert store.points(run.id, "logs", ".", "loss").step.tolist() == list(range(12_000))
        assert store.path(run.id, path).read_bytes() == data


READ_ONLY = """
import os, sys
from pathlib import Path
from runcast.errors import StoreError
from runcast.store.local import LocalStore
os.setuid(65534)
try:
    with LocalStore(Path(sys.argv[1])) as store:
        store.append(sys.argv[2], "files/logs/x", 0, b"x")
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"
)
def test_a_folder_that_may_not_be_written_is_said_so(tmp_path, new_run):
    """Another user's store cannot be written; the error names the place and what to do."""
    place = tmp_path / "store"
    run = new_run(id=new_run_id())
    with LocalStore(place) as store:
        store.create(run)
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, place, run.id], capture_output=True, text=True, check=False
    )
    assert "cannot" in done.stdout, done.stderr
    assert "RUNCAST_DIR" in done.stdout
