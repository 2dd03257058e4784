from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from runcast.errors import RunNotFound, StoreError
from runcast.store.local import LocalStore


@pytest.mark.parametrize(
    "path",
    [
        "code/train.py",
        "git/diff.patch",
        "saved/models/best.pt",
        "requirements.txt",
        "files/runs/a/tensors.tsv",
    ],
)
def test_a_file_is_kept_whole_and_replaced_as_a_whole(store, run, path):
    """A file that was put is listed and read back; putting it again leaves only the new content."""
    assert store.put(run, path, b"a longer first content") == 22
    assert store.put(run, path, b"second") == 6
    (file,) = store.files(run)
    assert (file.path, file.size) == (path, 6)
    assert store.size(run, path) == 6
    assert store.read(run, path, 0, 100) == b"second"
    assert store.path(run, path).read_bytes() == b"second"


@pytest.mark.parametrize(
    "path",
    [
        "saved/../run.jsonl",
        "saved//a",
        "/saved/a",
        "saved",
        "run.jsonl",
        "store.db",
        "code\\..\\..\\x",
        "saved/\0",
        "",
        "console/requirements.txt",
    ],
)
def test_no_path_leads_out_of_where_whole_files_stand(store, run, path):
    """A path that would reach anything but the run's own whole files is refused, and nothing is written."""
    before = sorted(store.root.rglob("*"))
    with pytest.raises(StoreError, match="cannot be a file of a run"):
        store.put(run, path, b"x")
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize("path", ["files/runs/a/events.out.tfevents.1.host", "own/log/x"])
def test_what_is_appended_to_cannot_be_replaced(store, run, path):
    """Event files are append-only: putting one is refused, as is appending to a whole file."""
    with pytest.raises(StoreError, match="by appending"):
        store.put(run, path, b"x")
    with pytest.raises(StoreError, match="as a whole"):
        store.append(run, "saved/a", 0, b"x")
    assert store.files(run) == []


def test_a_saved_event_file_is_only_a_file(store, run, open_file):
    """An event file that the user saves by name makes no second set of series."""
    written = open_file()
    written.writer.add_scalar("loss", 1.0, 0)
    written.writer.flush()
    store.put(run, "saved/events.out.tfevents.1.host", written.file)
    assert store.series(run) == []
    assert store.files(run)[0].size == written.file.stat().st_size


def test_an_unknown_run_takes_no_files(store):
    """Putting into a run that is not there says so and makes no folder."""
    with pytest.raises(RunNotFound):
        store.put("nosuchrun", "saved/a", b"x")
    assert list((store.root / "runs").iterdir()) == []


def test_what_cannot_be_read_leaves_the_old_copy(store, run, tmp_path):
    """A source that is not there is the caller's error; the copy that was made before stays."""
    store.put(run, "saved/a", b"old")
    with pytest.raises(FileNotFoundError):
        store.put(run, "saved/a", tmp_path / "missing")
    assert store.read(run, "saved/a", 0, 9) == b"old"
    assert [path.name for path in store.path(run, "saved/a").parent.iterdir()] == ["a"]


def test_a_place_that_cannot_be_written_is_named(store, run):
    """Where the name is taken by a folder, the error names the file; nothing is left behind."""
    store.put(run, "saved/a/b", b"x")
    with pytest.raises(StoreError, match="saved"):
        store.put(run, "saved/a", b"x")
    with pytest.raises(StoreError, match="saved"):
        store.put(run, "saved/a/b/c", b"x")
    assert [file.path for file in store.files(run)] == ["saved/a/b"]
    assert [path.name for path in store.path(run, "saved/a").parent.iterdir()] == ["a"]


def test_readers_see_the_old_content_or_the_new(store, run):
    """While a file is replaced over and over by two threads, whoever reads it never sees a mixture."""
    contents = [bytes([number]) * (1 << 20) for number in range(2)]
    store.put(run, "saved/a", contents[0])

    def replace():
        for _ in range(10):
            for content in contents:
                store.put(run, "saved/a", content)

    threads = [threading.Thread(target=replace) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(set(store.path(run, "saved/a").read_bytes())) == 1
        assert len(store.path(run, "saved/a").read_bytes()) == 1 << 20
    for thread in threads:
        thread.join()


def test_a_killed_copy_leaves_the_old_one(store, place, run, tmp_path):
    """A process killed in the middle of a copy leaves the file as it was; the next copy succeeds and cleans up."""
    store.put(run, "saved/big", b"old")
    pipe = tmp_path / "slow"
    os.mkfifo(pipe)
    code = (
        "import sys, pathlib; from runcast.store.local import LocalStore\n"
        "LocalStore(pathlib.Path(sys.argv[1])).put(sys.argv[2], 'saved/big', pathlib.Path(sys.argv[3]))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(place), run, str(pipe)])
    with pipe.open("wb") as source:
        source.write(b"n" * 100_000)
        source.flush()
        child.kill()
        child.wait()
    assert store.read(run, "saved/big", 0, 9) == b"old"
    with LocalStore(place) as again:
        again.put(run, "saved/big", b"new")
    folder = store.path(run, "saved/big").parent
    assert [path.name for path in folder.iterdir()] == ["big"]
    assert store.read(run, "saved/big", 0, 9) == b"new"


def test_whole_files_do_not_disturb_recording(store, run, open_file):
    """Series of a logdir called `saved` and saved files live side by side."""
    written = open_file()
    written.path = written.path.replace("files/logs", "files/saved")
    written.scalars("loss", [(step, 1.0, float(step)) for step in range(3)])
    store.put(run, "saved/note.txt", b"x")
    assert [(series.root, series.count) for series in store.series(run)] == [("saved", 3)]
