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
from runcast.errors import RunNotFound
from runcast.run.journal import read_journal
from runcast.store.local import LocalStore

ROOT = Path(runcast.__file__).parents[1]


WRITE = """
    import sys

    opened = []

    def write(logdir, points=50, close=True, library="tensorboard"):
        if library == "torch":
            from torch.utils.tensorboard import SummaryWriter
        elif library == "tensorboardX":
            from tensorboardX import SummaryWriter
        else:
            from tensorboard.summary import Writer as SummaryWriter  # imports no torch
        writer = SummaryWriter(logdir)
        opened.append(writer)
        for step in range(points):
            writer.add_scalar("loss", step / 2, step)
        if close:
            writer.close()

    if __name__ == "__main__":
        write(*sys.argv[1:2])
"""


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

    @staticmethod
    def until(condition, timeout=20.0):
        """What `condition()` returns, once that is true."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.05)
        return value

    @property
    def runs(self):
        """The runs' folders, oldest first."""
        return sorted(
            (self.store / "runs").iterdir(), key=lambda run: read_journal(run / "run.jsonl")[0][0]["created"]
        )

    def entries(self, op=None, run=-1):
        """The entries of a run's journal."""
        entries = read_journal(self.runs[run] / "run.jsonl")[0]
        return [entry for entry in entries if op in (None, entry["op"])]

    def end(self, run=-1, timeout=30.0):
        """How a run ended, as the store knows it once its recorder is done."""
        with LocalStore(self.store) as store:

            def ended():
                try:
                    found = store.run(self.runs[run].name)
                except RunNotFound:  # its recorder has not begun
                    return None
                return found if found.state != "running" else None

            return self.until(ended, timeout)

    def values(self, tag, run=-1):
        """The recorded (step, value) pairs of the one series with this tag."""
        with LocalStore(self.store) as store:
            run_id = self.runs[run].name
            (series,) = [each for each in store.series(run_id) if each.tag == tag]
            points = store.points(run_id, series.root, series.source, tag)
        return list(zip(points.step.tolist(), points.value.tolist(), strict=True))


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return Place(folder, tmp_path / "store")


@pytest.fixture
def training_script(place):
    """In the place, a training script `train.py LOGDIR` that writes 50 points and knows nothing of runcast."""
    (place.folder / "train.py").write_text(textwrap.dedent(WRITE))
    between = "import subprocess, sys; subprocess.run([sys.executable, 'train.py', 'logs/child'], check=True)"
    (place.folder / "between.py").write_text(between)


@pytest.fixture
def sources(place):
    """A function that returns how many points were recorded of each (root, source), and checks that each is there once."""

    def read(run=-1, tag="loss"):
        found = {}
        with LocalStore(place.store) as store:
            run_id = place.runs[run].name
            for series in store.series(run_id):
                if series.tag == tag:
                    points = store.points(run_id, series.root, series.source, tag)
                    assert points.step.tolist() == list(range(len(points.step)))
                    assert points.value.tolist() == [step / 2 for step in points.step.tolist()]
                    assert series.count == len(points.step)
                    found[series.root, series.source] = series.count
            paths = [file.source_path for file in store.files(run_id) if file.source_path]
            assert len(paths) == len(set(paths)), "a file is recorded twice"
        return found

    return read
