"""Backups as docs/server.md describes them, taken while runs are recorded, and what comes back from them."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time

import pytest

from runcast.errors import StoreError
from runcast.events.writer import EventWriter
from runcast.run.record import RunRecord, new_run_id
from runcast.server.access import Access, Standing
from runcast.store.local import LocalStore
from runcast.store.protocol import Facts

ALL = 1 << 40


class Training:
    """A run that goes on: each `go` adds steps, a longer log, and a new content of a file that is put."""

    def __init__(self, store, folder):
        self.store = store
        self.id = new_run_id()
        store.create(RunRecord(self.id, "p", "n", "running", time.time(), heartbeat=time.time()))
        self.writer = EventWriter(folder / self.id / "events.out.tfevents.1.h")
        self.steps = 0

    def go(self):
        for step in range(self.steps, self.steps + 50):
            self.writer.scalars({"loss": step / 7}, step, 1e9 + step)
        self.steps += 50
        data = self.writer.path.read_bytes()
        path = f"files/logs/a/{self.writer.path.name}"
        at = self.store.size(self.id, path)
        self.store.append(self.id, path, at, data[at:])
        self.store.put(self.id, "saved/model", f"after {self.steps}".encode())
        self.store.update(self.id, Facts(config={"steps": self.steps}))

    def is_in(self, store):
        """Whether another store has all that the run has now."""
        (series,) = store.series(self.id)
        points = store.points(self.id, "logs", "a", "loss")
        (events, model) = store.files(self.id)
        return (
            store.run(self.id).config == {"steps": self.steps}
            and (series.count, len(points.step)) == (self.steps,) * 2
            and store.read(self.id, events.path, 0, ALL) == self.writer.path.read_bytes()
            and store.read(self.id, model.path, 0, ALL) == f"after {self.steps}".encode()
        )


def rebuild(store):
    index = store.reindex()
    return {index.rebuild(run).outcome for run in index.runs()}


def test_a_folder_comes_back_from_a_copy_of_its_database_and_later_its_files(tmp_path):
    """What was recorded between the two copies is there too, after `runcast reindex`, and people are who they were."""
    with LocalStore(tmp_path / "here", own_in_place=False) as store:
        Access(store.database).users.add("ada", Standing.ADMIN)
        old = Training(store, tmp_path)
        old.go()
        with (
            sqlite3.connect(tmp_path / "here" / "store.db") as source,
            sqlite3.connect(tmp_path / "copy.db") as copy,
        ):
            source.backup(copy)
        source.close()
        copy.close()
        old.go()
        new = Training(store, tmp_path)
        new.go()
        shutil.copytree(tmp_path / "here" / "runs", tmp_path / "there" / "runs")
        shutil.copy(tmp_path / "copy.db", tmp_path / "there" / "store.db")
        with LocalStore(tmp_path / "there", own_in_place=False) as restored:
            assert [user.name for user in Access(restored.database).users.all()] == ["ada"]
            assert rebuild(restored) == {"rebuilt"}
            assert old.is_in(restored)
            assert new.is_in(restored)
            for training in (old, new):
                training.store = restored
                training.go()
                assert training.is_in(restored)


def test_postgresql_and_a_bucket_come_back_from_an_older_dump(tmp_path, postgresql, s3):
    """What is in the bucket is taken up; of what was only in the lost database the store says how far it is, and is sent it again."""
    files = s3.address()
    with (
        postgresql.database() as here,
        postgresql.database() as there,
        LocalStore(tmp_path, database=here, files=files, own_in_place=False) as store,
    ):
        old = Training(store, tmp_path)
        old.go()
        dump = subprocess.run(
            [postgresql._bin / "pg_dump", "-Fc", here], capture_output=True, check=True
        ).stdout
        old.go()
        new = Training(store, tmp_path)
        new.go()
        store._sealer.sweep(everything=True)
        store.close()
        subprocess.run([postgresql._bin / "pg_restore", "--no-owner", "-d", there], input=dump, check=True)
        with LocalStore(tmp_path, database=there, files=files, own_in_place=False) as restored:
            with pytest.raises(
                StoreError, match="no such object"
            ):  # the version that the dump knows was replaced
                restored.read(old.id, "saved/model", 0, ALL)
            assert rebuild(restored) == {"rebuilt"}
            for training in (old, new):
                assert training.is_in(restored)
                training.store = restored
                training.go()
                assert training.is_in(restored)
