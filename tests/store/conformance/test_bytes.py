"""Bytes at an offset, whole files, and what becomes of them: the same on every store."""

from __future__ import annotations

import os
import threading

import pytest

from runcast.errors import RunNotFound, StoreError
from runcast.store.protocol import Append, Appended, FileRecord, OffsetMismatch

ALL = 1 << 40


def test_bytes_are_appended_once_wherever_they_are(store, run, settle):
    """Pieces of all sizes come back as one file, from any offset; what is sent again or too early changes nothing."""
    path, data = "files/logs/train/graph.pbtxt", os.urandom(300_000)
    at = 0
    for size in (1, 5_000, 70_000, *[100] * 80, 217_000 - 1, 10):
        piece = data[at : at + size]
        assert store.append(run, path, at, piece) == Appended(at + len(piece))
        at += len(piece)
        if at in {1, 75_001}:
            settle()
    assert store.append(run, path, 0, b"again") == OffsetMismatch(at)
    assert store.append(run, path, at + 5, b"late") == OffsetMismatch(at)
    for _ in range(2):
        assert store.size(run, path) == at == len(data)
        assert store.read(run, path, 0, ALL) == data
        assert store.read(run, path, 4_999, 75_500) == data[4_999:75_500]
        assert store.read(run, path, len(data), ALL) == store.read(run, path, 7, 7) == b""
        settle()
    assert store.append(run, path, at, b"more") == Appended(at + 4)
    assert store.read(run, path, at - 2, ALL) == data[-2:] + b"more"
    (file,) = store.files(run)
    assert (file.path, file.size, file.records) == (path, at + 4, 0)
    assert store.size(run, "files/logs/none") == 0


def test_more_than_a_segment_is_one_file(store, run, settle):
    """A file of more than 8 MiB, in odd pieces, is put together from wherever its parts are."""
    path, data = "files/logs/x/big.bin", os.urandom(17_500_000)
    for at in range(0, len(data), 3_333_333):
        store.append(run, path, at, data[at : at + 3_333_333])
        if at == 9_999_999:
            settle()
    assert store.read(run, path, 0, ALL) == data
    settle()
    assert store.read(run, path, (8 << 20) - 1, (16 << 20) + 1) == data[(8 << 20) - 1 : (16 << 20) + 1]


def test_several_files_are_appended_to_together(store, run):
    """Each file of a group gets its own answer; one that cannot be appended to does not lose the others."""
    store.append(run, "files/a/x", 0, b"12345")
    answers = store.append_all(
        run,
        [Append("files/a/x", 5, b"678"), Append("files/a/y", 3, b"?"), Append("code/a.py", 0, b"x"), Append("files/b/z", 0, b"z")],
    )  # fmt: skip
    assert [answers[0], answers[1], answers[3]] == [Appended(8), OffsetMismatch(0), Appended(1)]
    assert isinstance(answers[2], StoreError)
    assert store.read(run, "files/a/x", 0, ALL) == b"12345678"
    assert [file.path for file in store.files(run) if file.size] == ["files/a/x", "files/b/z"]


def test_threads_that_append_at_once_double_nothing(store, run, settle):
    """Four writers send the same file's pieces as fast as they can, going on from whatever the store says it has."""
    path, data = "files/a/shared.txt", os.urandom(20_000)
    problems = []

    def write():
        at = 0
        while at < len(data):
            answer = store.append(run, path, at, data[at : at + 1_000])
            if answer.size <= at:
                problems.append(answer)
            at = answer.size

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    settle()
    for thread in threads:
        thread.join()
    settle()
    assert not problems
    assert store.read(run, path, 0, ALL) == data


def test_a_whole_file_is_replaced_at_once(store, run, settle, tmp_path):
    """Readers see a file's old content or its new, whatever its size; a copy outlives its source."""
    contents = [b"o" * 200_000, b"n" * 200_000]
    store.put(run, "saved/a", contents[0])
    seen = set()

    def replace():
        for number in range(4):
            store.put(run, "saved/a", contents[number % 2])

    thread = threading.Thread(target=replace)
    thread.start()
    while thread.is_alive():
        seen.add(store.read(run, "saved/a", 0, ALL))
    thread.join()
    assert seen <= set(contents)
    source = tmp_path / "weights"
    source.write_bytes(os.urandom(9 << 20))
    assert store.put(run, "saved/a", source) == 9 << 20
    settle()
    assert store.read(run, "saved/a", 100, ALL) == source.read_bytes()[100:]
    assert store.put(run, "saved/a", b"") == 0
    assert store.read(run, "saved/a", 0, ALL) == b""
    assert [(file.path, file.size) for file in store.files(run)] == [("saved/a", 0)]
    with pytest.raises(FileNotFoundError):
        store.put(run, "saved/a", tmp_path / "missing")


@pytest.mark.parametrize(
    "path", ["files/a/events.out.tfevents.1.h", "saved/../x", "files/../../x", "run.jsonl", "saved//a"]
)
def test_what_is_no_whole_file_is_not_put(store, run, path):
    """Event files only grow, and no path leads out of the run."""
    with pytest.raises(StoreError):
        store.put(run, path, b"x")
    assert store.files(run) == []


def test_names_may_be_anything_that_a_file_may_be_called(store, run, settle):
    """Spaces, signs, other alphabets and very long paths are kept as they are."""
    paths = [
        "files/logs/züg 日本/a#b?c%20d+e&f=g",
        "files/logs/~x/[1]{2}*'\"`^|<>;:,@!$.txt",
        "saved/" + "/".join(["many" * 20] * 12) + "/" + "long" * 50,
        "files/logs/" + "漢" * 80 + "/x",
    ]
    for number, path in enumerate(paths):
        content = f"content {number}".encode()
        if path.startswith("saved"):
            store.put(run, path, content)
        else:
            store.append(run, path, 0, content)
    settle()
    for number, path in enumerate(paths):
        assert store.read(run, path, 0, ALL) == f"content {number}".encode(), path
    assert {file.path for file in store.files(run)} == set(paths)


def test_what_became_of_a_source_is_noted(store, run):
    """The recorder's words about a file stand beside its size, also before the first byte."""
    store.describe(
        run, FileRecord("files/a/x", 0, source_path="/logs/x", state="waiting", why="no permission")
    )
    store.append(run, "files/a/x", 0, b"12")
    store.describe(run, FileRecord("files/a/x", 0, source_path="/logs/x", source_size=7, state="recording"))
    (file,) = store.files(run)
    assert file == FileRecord("files/a/x", 2, source_path="/logs/x", source_size=7, state="recording")


def test_an_unknown_run_takes_nothing(store):
    """Bytes and files for a run that nobody made are refused."""
    with pytest.raises(RunNotFound):
        store.append("nobodysrun", "files/a/x", 0, b"x")
    with pytest.raises(RunNotFound):
        store.put("nobodysrun", "saved/x", b"x")
