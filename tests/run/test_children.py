"""Writers of the processes that a run's process starts: recorded in the run, whatever way they were started."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import runcast
from runcast.capture.libraries import LIBRARIES
from runcast.run.children import FOLDER
from runcast.store.local import LocalStore

TRAIN = """
    import sys
    from torch.utils.tensorboard import SummaryWriter

    def train(logdir, points=50):
        writer = SummaryWriter(logdir)
        for step in range(points):
            writer.add_scalar("loss", step / 2, step)
        writer.close()

    if __name__ == "__main__":
        train(sys.argv[1])
"""


@pytest.fixture
def train(place):
    """A training script, `train.py LOGDIR`, that writes 50 points through torch and knows nothing of runcast."""
    (place.folder / "train.py").write_text(textwrap.dedent(TRAIN))


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
        return found

    return read


@pytest.mark.parametrize(
    "start",
    [
        'subprocess.run([sys.executable, "train.py", "logs/child"], check=True)',
        'assert os.system(f"{sys.executable} train.py logs/child") == 0',
        'os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "train.py", "logs/child"])',
        'subprocess.run("cd logs && python3 ../train.py child", shell=True, check=True)',
    ],
    ids=["subprocess", "os.system", "os.spawnv", "a shell in another folder"],
)
def test_a_child_process_is_recorded(place, train, sources, start):
    """A training script that is started from a run, in whatever way, is part of the run without a line of code."""
    _, err = place.run(f"""
        import os, subprocess, sys
        import runcast
        os.makedirs("logs")
        os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        run = runcast.init(sync_tensorboard=True)
        {start}
    """)
    assert err == ""
    assert place.end().state == "finished"
    assert sources() == {("cwd", "logs/child"): 50}
    (writer,) = place.entries("writer")
    assert writer["by"].startswith("child:")
