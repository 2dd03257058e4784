"""What the store has already under another name: recorded runs, and folders that were moved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from runcast.store.protocol import RunQuery

if TYPE_CHECKING:
    from pathlib import Path

TRAINING = """
import os, shutil, sys, time
import runcast

run = runcast.init(project="live", name="recorded", logdirs=["logs"], save_code=False)
os.makedirs("logs/exp/train/plugins/profile/1")
shutil.copy("first", "logs/exp/train/events.out.tfevents.1690000100.lab.1.0")
shutil.copy("first", "logs/exp/train/plugins/profile/1/lab.xplane.pb")
while not os.path.exists("go-on"):
    time.sleep(0.02)
run.finish()
"""


def sizes(sync) -> dict[str, int]:
    """The recorded bytes of each event file, by the run's name and the file's."""
    with sync.store() as store:
        return {
            f"{run.name} {file.path}": file.size
            for run in store.runs(RunQuery())
            for file in store.files(run.id)
            if file.path.startswith("files/") and file.size
        }


def test_what_was_recorded_is_not_brought_again(sync, tmp_path: Path, write) -> None:
    """The files of a recorded run are known by where they are and how they begin; its growth is added to it, other files become a run."""
    first = write(tmp_path / "first", 50)
    older = write(tmp_path / "logs" / "exp" / "train" / "events.out.tfevents.1690000000.lab.9.0", 5)
    env = {**os.environ, "RUNCAST_DIR": str(sync.folder)}
    training = subprocess.Popen([sys.executable, "-c", TRAINING], cwd=tmp_path, env=env)
    recorded = tmp_path / "logs" / "exp" / "train" / "events.out.tfevents.1690000100.lab.1.0"
    key = "recorded files/logs/exp/train/events.out.tfevents.1690000100.lab.1.0"
    deadline = time.monotonic() + 60
    while not (sync.folder / "store.db").exists() or sizes(sync).get(key) != first.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = {run["name"]: run for run in sync.json(tmp_path / "logs")["runs"]}
    assert {name: run["outcome"] for name, run in done.items()} == {"recorded": "unchanged", "exp": "new"}
    assert "being recorded: its recorder" in done["recorded"]["why"]
    assert done["exp"]["files"] == 1
    (tmp_path / "go-on").touch()
    assert training.wait(60) == 0
    assert sync.outcomes(tmp_path / "logs") == {"recorded": ("unchanged", 0), "exp": ("unchanged", 0)}
    write(recorded, 20, first=50)
    assert sync.outcomes(tmp_path / "logs" / "exp") == {"recorded": ("grown", 20), "exp": ("unchanged", 0)}
    with sync.store() as store:
        run = next(run for run in store.runs(RunQuery()) if run.name == "recorded")
        assert (run.state, run.project) == ("finished", "live")
        assert [each.count for each in store.series(run.id) if each.tag == "loss"] == [70]
    assert older.exists()
    # A copy is another training; in a store that has nothing of it, all of it is one run.
    shutil.copytree(tmp_path / "logs", tmp_path / "copy")
    assert sync.outcomes(tmp_path / "copy") == {"exp": ("new", 77)}
    assert sync.outcomes(tmp_path / "logs", "--to", tmp_path / "other") == {"exp": ("new", 77)}
    assert sync.outcomes(tmp_path / "logs" / "exp", "--run-per-dir") == {"exp/train": ("new", 77)}


def test_a_folder_that_was_moved_goes_on(sync, tmp_path: Path, write) -> None:
    """A moved folder is the run that it was, with what is new in it; a copied one is another; an old name used again is new."""
    logs = tmp_path / "logs"
    first = write(logs / "a" / "train" / "events.out.tfevents.1690000000.lab.1.0", 50)
    write(logs / "a" / "validation" / "events.out.tfevents.1690000000.lab.1.1", 10)
    (logs / "a" / "train" / "graph.pbtxt").write_text("node {}")
    assert sync.outcomes(logs) == {"a": ("new", 62)}
    shutil.copytree(logs / "a", logs / "copy")
    assert sync.outcomes(logs) == {"a": ("unchanged", 0), "copy": ("new", 62)}
    shutil.rmtree(logs / "copy")
    (logs / "a").rename(logs / "b")
    assert sync.outcomes(logs) == {"a": ("unchanged", 0)}
    assert sync(logs, "--dry-run")[1].startswith("b: 3 files")
    assert "; it is run " in sync(logs, "--dry-run")[1]
    write(logs / "b" / "train" / first.name, 20, first=50)
    write(logs / "b" / "test" / "events.out.tfevents.1690000000.lab.1.2", 3)
    assert sync.outcomes(logs / "b") == {"a": ("grown", 24)}
    write(logs / "a" / "events.out.tfevents.1690000009.lab.2.0", 5)
    done = sync.json(logs)["runs"]
    assert sorted((run["name"], run["outcome"]) for run in done) == [("a", "new"), ("a", "unchanged")]
    assert {run["outcome"] for run in sync.json(logs)["runs"]} == {"unchanged"}
    assert {key.partition(" ")[2].split("/")[1] for key in sizes(sync)} == {"a", "copy"}
