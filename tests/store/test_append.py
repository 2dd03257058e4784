"""Bytes at an offset: what the store takes, keeps and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from runcast.errors import RunNotFound, StoreError
from runcast.events.writer import EventWriter
from runcast.store.protocol import Appended, FileRecord, OffsetMismatch


def test_a_recorded_file_is_the_same_byte_for_byte(store, run, open_file):
    """The run's folder holds the event file exactly as the writer wrote it, whatever the pieces it came in."""
    file = open_file("train", piece=777)
    file.scalars("loss", [(step, 1 / (step + 1), 100.0 + step) for step in range(500)])
    kept = store.path(run, file.path)
    assert kept.read_bytes() == file.file.read_bytes()
    assert store.size(run, file.path) == file.file.stat().st_size
    assert store.read(run, file.path, 10, 50) == file.file.read_bytes()[10:50]


def test_all_points_are_read_back_exactly(store, run, open_file):
    """Steps, wall times and values come back to the last bit."""
    file = open_file("train", piece=1000)
    rng = np.random.default_rng(1)
    points = [(step, float(rng.standard_normal()), 1.7e9 + step * 0.123456789) for step in range(10_000)]
    file.scalars("loss", points)
    found = store.points(run, "logs", "train", "loss")
    assert found.step.tolist() == [step for step, _, _ in points]
    assert found.value.tolist() == [float(np.float32(value)) for _, value, _ in points]
    assert found.wall_time.tolist() == [wall_time for _, _, wall_time in points]


def test_a_retry_is_harmless(store, run, open_file):
    """Bytes that are sent again are not recorded again: the store answers where to go on."""
    file = open_file()
    size = file.scalars("loss", [(1, 1.0, 1.0), (2, 2.0, 2.0)])
    data = file.file.read_bytes()
    assert store.append(run, file.path, 0, data) == OffsetMismatch(size)
    assert store.append(run, file.path, size + 5, b"late") == OffsetMismatch(size)
    assert store.series(run)[0].count == 2
    assert store.files(run)[0].records == 3


def test_an_incomplete_record_waits(store, run, open_file):
    """A record that is cut short is not taken; with the rest of its bytes it is."""
    file = open_file()
    file.writer.add_scalar("loss", 1.0, 1)
    file.writer.flush()
    data = file.file.read_bytes()
    answer = store.append(run, file.path, 0, data[:-3])
    assert isinstance(answer, Appended)
    assert answer.batch.pending == "incomplete"
    assert store.series(run) == []
    assert store.append(run, file.path, answer.size, data[answer.size :]).size == len(data)
    assert store.series(run)[0].count == 1


def test_a_corrupt_record_is_skipped_and_counted_at_the_end(store, run, open_file):
    """A flipped bit costs one record: it waits for better bytes, then is passed over, counted, and kept in the file."""
    file = open_file()
    file.scalars("loss", [(0, 0.0, 1.0)])
    at = file.file.stat().st_size
    for step in (1, 2, 3):
        file.writer.add_scalar("loss", step, step, 1.0 + step)
    file.writer.flush()
    data = bytearray(file.file.read_bytes())
    data[at + 20] ^= 1
    assert store.append(run, file.path, at, bytes(data[at:])).size == at
    assert store.append(run, file.path, at, bytes(data[at:]), final=True).size == len(data)
    assert store.points(run, "logs", ".", "loss").step.tolist() == [0, 2, 3]
    assert store.files(run)[0].skipped == 1
    assert store.path(run, file.path).read_bytes() == data


def test_other_files_are_kept_verbatim(store, run):
    """A file that holds no events (graph.pbtxt) is kept as it is."""
    path = "files/logs/train/graph.pbtxt"
    assert store.append(run, path, 0, b"node {").size == 6
    assert store.append(run, path, 6, b"}\n").size == 8
    assert store.read(run, path, 0, 100) == b"node {}\n"
    assert store.series(run) == []


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
