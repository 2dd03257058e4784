"""`runcast reindex`, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys

from filelock import FileLock

from runcast.run.record import RunRecord
from runcast.store.local import LocalStore


def test_a_lost_database_is_made_anew(tmp_path):
    """All runs are listed again; one that is being recorded is left alone, which the exit code says."""
    with LocalStore(tmp_path) as store:
        for letter in "ab":
            store.create(RunRecord(letter * 16, "digits", letter, "finished", 1.0, ended=9.0))
            store.put(letter * 16, "code/train.py", b"print()")
    for path in tmp_path.glob("store.db*"):
        path.unlink()

    def call(*arguments):
        command = [sys.executable, "-m", "runcast", *arguments]
        env = {**os.environ, "RUNCAST_DIR": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, env=env)

    with FileLock(tmp_path / "runs" / ("b" * 16) / "recorder.lock"):
        done = call("reindex")
    assert (done.returncode, done.stdout) == (1, "rebuilt: 1 run; left as they are: 1\n")
    assert f"{'b' * 16}: run {'b' * 16} is being recorded" in done.stderr
    done = call("reindex", "b" * 16)
    assert (done.returncode, done.stdout) == (0, "rebuilt: 1 run\n")
    assert call("runs").stdout.count("finished") == 2
