"""Bytes at an offset: what the store takes, keeps and refuses."""

from __future__ import annotations

import pytest

from runcast.errors import RunNotFound, StoreError
from runcast.events.writer import EventWriter
from runcast.store.protocol import FileRecord


def test_a_recorded_file_is_the_same_byte_for_byte(store, run, open_file):
    """The run's folder holds the event file exactly as the writer wrote it, whatever the pieces it came in."""
    file = open_file("train", piece=777)
    file.scalars("loss", [(step, 1 / (step + 1), 100.0 + step) for step in range(500)])
    kept = store.path(run, file.path)
    assert kept.read_bytes() == file.file.read_bytes()
    assert store.size(run, file.path) == file.file.stat().st_size
    assert store.read(run, file.path, 10, 50) == file.file.read_bytes()[10:50]


def test_own_files_are_indexed_in_place(store, run):
    """What the run itself writes is not copied; its metrics are a series of the root `own`."""
    path = "own/log/events.out.tfevents.1.me"
    writer = EventWriter(store.path(run, path))
    writer.scalars({"loss": 0.1}, 7)
    writer.close()
    data = store.path(run, path).read_bytes()
    assert store.append(run, path, 0, data, final=True).size == len(data)
    assert store.path(run, path).read_bytes() == data
    (series,) = store.series(run)
    assert (series.root, series.source, series.tag, series.last) == ("own", "log", "loss", 0.1)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "files",
        "files/logs",
        "run.jsonl",
        "/etc/passwd",
        "files/../../other/run.jsonl",
        "files/logs/../../../x",
        "files/logs/./x",
        "files/logs//x",
        "files\\..\\..\\x",
        "files/logs/..\\..\\x",
        "C:/windows/x",
        "C:x",
        "files/logs/nul\0byte",
        "own",
    ],
)
def test_no_path_leads_out_of_the_run(store, run, path):
    """A path that is not a file's place in its run is refused, and nothing is written."""
    before = sorted(store.root.rglob("*"))
    with pytest.raises(StoreError, match="cannot be a file of a run"):
        store.append(run, path, 0, b"x")
    with pytest.raises(StoreError, match="cannot be a file of a run"):
        store.describe(run, FileRecord(path, 0))
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize("identity", ["", "..", "../x", "UPPER", "a/b", "C:"])
def test_no_run_id_leads_out_of_the_store(store, new_run, identity):
    """A run's id is a plain name."""
    with pytest.raises(StoreError, match="cannot be the id"):
        store.create(new_run(id=identity))


def test_an_unknown_run_takes_no_bytes(store):
    """Bytes for a run that nobody made are refused, with what to do."""
    with pytest.raises(RunNotFound, match="runcast runs"):
        store.append("nobody", "files/logs/x", 0, b"x")
    assert not (store.root / "runs" / "nobody").exists()


def test_what_became_of_a_source_is_noted(store, run, open_file):
    """The recorder's words about a file stand beside its recorded size, also before the first byte."""
    file = open_file()
    store.describe(
        run, FileRecord(file.path, 0, source_path=str(file.file), state="waiting", why="no permission")
    )
    assert store.files(run)[0].why == "no permission"
    size = file.scalars("loss", [(1, 1.0, 1.0)])
    (found,) = store.files(run)
    assert (found.size, found.records, found.state, found.source_path) == (size, 2, "waiting", str(file.file))
