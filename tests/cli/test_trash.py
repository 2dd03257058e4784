"""`runcast rm` and `runcast restore`, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from runcast.run.record import RunRecord
from runcast.store.local import LocalStore


@pytest.fixture
def runcast(tmp_path):
    """The command line, on a store with three runs."""
    with LocalStore(tmp_path) as store:
        for number, name in enumerate(("first", "second", "third")):
            store.create(
                RunRecord(f"{'abc'[number]}" * 16, "digits", name, "finished", float(number), ended=9.0)
            )
            store.put(f"{'abc'[number]}" * 16, "code/train.py", b"print()")

    def call(*arguments):
        command = [sys.executable, "-m", "runcast", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "RUNCAST_DIR": str(tmp_path)}
        )

    return call


def names(runcast):
    return [run["name"] for run in json.loads(runcast("runs", "--json").stdout)]


def test_the_trash_has_an_undo(runcast, tmp_path):
    """A run that is removed is in no list, and is back as it was when it is restored; several go together or not at all."""
    done = runcast("rm", "first", "bbbb")
    assert done.stdout == f"in the trash: first ({'a' * 16}), second ({'b' * 16})\n"
    assert names(runcast) == ["third"]
    assert "no run 'first'" in runcast("show", "first").stderr
    assert runcast("rm", "third", "nonsense").returncode == 1
    assert names(runcast) == ["third"]
    assert runcast("restore", "second").stdout == f"restored: second ({'b' * 16})\n"
    assert names(runcast) == ["third", "second"]
    again = runcast("restore", "second")
    assert (again.returncode, again.stderr) == (1, "runcast: there is no run 'second' in the trash\n")
    assert (tmp_path / "runs" / ("a" * 16) / "code/train.py").exists()


def test_deleting_for_good(runcast, tmp_path):
    """With --for-good the run and its files are gone, whether it was in the trash or not."""
    runcast("rm", "first")
    done = runcast("rm", "--for-good", "first", "second")
    assert done.returncode == 0, done.stderr
    assert names(runcast) == ["third"]
    assert runcast("restore", "first").returncode == 1
    assert sorted(folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir()) == ["c" * 16]
