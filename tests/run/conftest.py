from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import runcast
from runcast.run.journal import read_journal

ROOT = Path(runcast.__file__).parents[1]


def until(condition, timeout=10.0):
    """What `condition()` returns, once that is true."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return value


@dataclass
class Place:
    """A working folder with scripts in it, and the store that their runs go to."""

    folder: Path
    store: Path

    @property
    def environment(self):
        return {**os.environ, "PYTHONPATH": str(ROOT), "RUNCAST_DIR": str(self.store)}

    def start(self, source, name="script.py"):
        """Start a script; its output can be read from the process."""
        (self.folder / name).write_text(textwrap.dedent(source))
        return subprocess.Popen(
            [sys.executable, name],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, source, *, status=0, timeout=60):
        """Run a script to its end; return what it printed on stdout and on stderr."""
        with self.start(source) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            finally:
                process.kill()
        assert process.returncode == status, err
        return out, err

    @property
    def runs(self):
        """The runs' folders, oldest first."""
        return sorted((self.store / "runs").iterdir(), key=lambda run: run.stat().st_ctime)

    def entries(self, op=None, run=-1):
        """The entries of a run's journal."""
        entries = read_journal(self.runs[run] / "run.jsonl")[0]
        return [entry for entry in entries if op in (None, entry["op"])]


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return Place(folder, tmp_path / "store")
