from __future__ import annotations

import os
import threading

import pytest

from runcast.errors import JournalError
from runcast.run.journal import Journal, read_journal


def test_entries_come_back_in_order(tmp_path):
    """What is noted is read back in order, from any offset, by whoever follows the journal."""
    journal = Journal(tmp_path / "run.jsonl", "kernel:1")
    journal.append("start", run="a")
    entries, offset = read_journal(journal.path)
    journal.append("finish", state="finished")
    assert [entry["op"] for entry in entries] == ["start"]
    entries, _ = read_journal(journal.path, offset)
    assert [(entry["op"], entry["seq"], entry["by"]) for entry in entries] == [("finish", 2, "kernel:1")]


def test_several_authors(tmp_path):
    """Threads and processes write to one journal without spoiling each other's lines."""
    journals = [Journal(tmp_path / "run.jsonl", f"kernel:{n}") for n in range(4)]

    def write(journal):
        for n in range(100):
            journal.append("set", values={"config": {"n": n, "text": "x" * 500}})

    threads = [threading.Thread(target=write, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries, _ = read_journal(tmp_path / "run.jsonl")
    assert sorted((entry["by"], entry["seq"]) for entry in entries) == [
        (f"kernel:{n}", seq) for n in range(4) for seq in range(1, 101)
    ]


def test_a_line_that_is_not_finished_waits(tmp_path):
    """A line without its end is left for later, and one that is no JSON is passed over."""
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"op":"start"}\nnonsense\n{"op":"fin')
    entries, offset = read_journal(path)
    assert [entry["op"] for entry in entries] == ["start"]
    with path.open("ab") as file:
        file.write(b'ish"}\n')
    assert [entry["op"] for entry in read_journal(path, offset)[0]] == ["finish"]


def test_a_folder_that_is_gone(tmp_path):
    """A journal that cannot be written says so, with its path."""
    journal = Journal(tmp_path / "gone" / "run.jsonl", "kernel:1")
    with pytest.raises(JournalError, match=r"gone.run\.jsonl: No such file"):
        journal.append("start")


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_disk_that_is_full_for_a_while(place):
    """A line that a full disk cut short is told as an error, and spoils no line that is written once there is room."""
    out, _ = place.run("""
        import resource
        from pathlib import Path
        from runcast.errors import JournalError
        from runcast.run.journal import Journal, read_journal
        journal = Journal(Path("run.jsonl"), "kernel:1")
        journal.append("start")
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 20, resource.RLIM_INFINITY))
        for _ in range(2):
            try:
                journal.append("set", values={})
            except JournalError as error:
                print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        journal.append("finish")
        print([entry["op"] for entry in read_journal(journal.path)[0]])
    """)
    first, second, ops = out.splitlines()
    assert first.startswith("cannot write the run's journal run.jsonl: No space left")
    assert second.startswith("cannot write the run's journal run.jsonl: File too large")
    assert ops == "['start', 'finish']"
