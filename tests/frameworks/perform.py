"""Run one of `trainings/` with a run around it: `python perform.py TRAINING WHEN WHERE`, in an empty folder.

WHEN is `before` (writers are open, and half of the points are written, when the run starts) or `after`. WHERE is `same`
(process) or `child`. A training that stands alone, as a child does, has neither: `python perform.py TRAINING`.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
REACHED, GO = Path("midway-reached"), Path("go-on")
PATIENCE = 120.0


def train(name, midway=lambda: None):
    sys.path.insert(0, str(HERE / "trainings"))
    importlib.import_module(name).train(midway)


def wait_for(path):
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


def pause():
    """In the middle of a child's training: wait until the run has started."""
    REACHED.touch()
    wait_for(GO)


def perform(name, when, where):
    import runcast

    init = partial(runcast.init, project="frameworks", name=name, sync_tensorboard=True)
    child = [sys.executable, __file__, name]
    if where == "same" and when == "after":
        init()
        train(name)
    elif where == "same":
        train(name, midway=init)
    elif when == "after":
        init()
        subprocess.run(child, check=True)
    else:
        # A process that is older than the run knows nothing of it: its folder must be named.
        with subprocess.Popen([*child, "pause"]) as process:
            wait_for(REACHED)
            init(logdirs=["."])
            GO.touch()
        assert process.returncode == 0
    runcast.finish()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [name]:
            train(name)
        case [name, "pause"]:
            train(name, midway=pause)
        case [name, when, where]:
            perform(name, when, where)
