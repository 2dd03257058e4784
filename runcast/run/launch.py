"""Starting a recorder: a detached process with nothing of the user's working folder on its module path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from runcast.errors import RecorderError
from runcast.run.children import without_run

__all__ = ["launch_recorder", "parent_created"]

_BOOTSTRAP = """\
import os, sys
def place(path):
    return os.path.normcase(os.path.realpath(path))
source, *unwanted = sys.argv[1:1 + {count}]
del sys.argv[1:1 + {count}]
unwanted = {{place(path) for path in unwanted}}
sys.path[:] = [path for path in sys.path if path and place(path) not in unwanted] + [source]
from runcast.recorder.__main__ import run
run()
"""
"""`random.py` or `numpy.py` beside a notebook must not break the recorder. So the working folders of both processes leave
the module path, and the folder that holds runcast itself (which may be just that one) comes last on it."""


def launch_recorder(folder: Path, *, cwd: str, parent: int, created: float | None) -> subprocess.Popen[bytes]:
    """Start the recorder of the run in `folder`; its stdin and stdout are the channel, its stderr is `recorder.log`.

    `cwd` is the user's working folder; `parent` (created at `created`) is the process that is recorded. Raises
    `RecorderError` when no process can be started.
    """
    if not sys.executable:
        message = (
            "cannot start the recorder: sys.executable is empty, so the Python to run it with is unknown"
        )
        raise RecorderError(message)
    source = str(Path(__file__).resolve().parents[2])
    # The script's and the notebook's own folder is sys.path[0]; a .pth file may name it, too.
    places = [source, str(folder), cwd]
    command = [sys.executable, "-c", _BOOTSTRAP.format(count=len(places)), *places, str(folder)]
    command += ["--parent", str(parent)]
    if created is not None:
        command += ["--parent-created", repr(created)]
    try:
        with (folder / "recorder.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Unbuffered: the pipes' ends hold no lock that a fork could leave locked in a child.
                bufsize=0,
                cwd=folder,
                env=_environment(cwd),
                **_detached(),
            )
    except OSError as error:
        message = f"cannot start the recorder with {sys.executable}: {error.strerror or error}"
        raise RecorderError(message) from error


def parent_created() -> float | None:
    """Return when this process was created, as the recorder compares it; None where that cannot be known."""
    import psutil  # `import runcast` stays light

    try:
        return float(psutil.Process().create_time())
    except psutil.Error:
        return None


def _environment(cwd: str) -> dict[str, str]:
    environment = dict(os.environ)
    without_run(environment)  # neither the recorder nor its TensorBoard is part of the training
    environment["PYTHONSAFEPATH"] = "1"
    # Python imports modules of its own (`types`) before the bootstrap can put the module path right.
    named = environment.pop("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in named if path and os.path.realpath(path) != os.path.realpath(cwd)]
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)
    # A kernel's backend for drawing belongs to the kernel, and PYTHONINSPECT would leave a prompt behind.
    environment["MPLBACKEND"] = "Agg"
    environment.pop("PYTHONINSPECT", None)
    return environment


def _detached() -> dict[str, Any]:
    """Return what keeps signals for the kernel's process group, and its end, away from the recorder."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
