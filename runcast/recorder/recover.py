"""Runs that nobody completed: their training process and their recorder are both gone. Whoever comes next sees to them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from runcast.errors import StoreError
from runcast.recorder.replica import NOTE, REPLICA_LOCK, Note
from runcast.run.process import is_alive
from runcast.run.state import read_state
from runcast.store.local import CRASHED_AFTER, LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runcast.run.record import RunRecord

__all__ = ["JOURNAL", "LOCK", "complete", "complete_unfinished", "send_unsent", "unfinished", "unsent"]

LOCK = "recorder.lock"
JOURNAL = "run.jsonl"

_COMPLETE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from runcast.recorder.__main__ import run; run()"
)


def unfinished(root: Path) -> list[str]:
    """Return the ids of runs in the store at `root` that have not been completed and that nobody is recording.

    Runs whose folder is there but which the store does not know are among them. Raises `StoreError`.
    """
    runs = root / "runs"
    with LocalStore(root) as store:
        known = {run.id: run for run in store.runs()}
    try:
        folders = sorted(folder for folder in runs.iterdir() if (folder / JOURNAL).is_file())
    except OSError as error:
        raise StoreError(
            f"cannot look for runs in {runs}: {error.strerror}; check its permissions"
        ) from error
    return [folder.name for folder in folders if _is_abandoned(folder, known.get(folder.name))]


def complete_unfinished(root: Path) -> list[str]:
    """Start a process that completes the unfinished runs, one after the other, and return their ids at once.

    Raises `StoreError`, also when no process can be started.
    """
    found = unfinished(root)
    if found:
        complete(root, found)
    return found


def complete(root: Path, runs: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process that completes runs that nobody records, one after the other. Raises `StoreError`."""
    return _start(root, runs, "--complete")


def unsent(root: Path) -> list[str]:
    """Return the ids of runs in the store at `root` that are recorded, and not wholly on a server where they are to be.

    Those that are just being brought there are left out, and those that wait for `runcast sync` (`mode="offline"`).
    """
    found = []
    for note in sorted((root / "runs").glob(f"*/{NOTE}")):
        folder = note.parent
        missing = [
            said for said in Note.all(folder).values() if not said.get("complete") and not said.get("gone")
        ]
        if missing and _is_free(folder / LOCK) and _is_free(folder / REPLICA_LOCK):
            found.append(folder.name)
    return found


def send_unsent(root: Path) -> list[str]:
    """Start a process that brings the unsent runs to their servers, and return their ids at once. Raises `StoreError`."""
    found = unsent(root)
    if found:
        _start(root, found, "--send")
    return found


def _start(root: Path, runs: Sequence[str], what: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _COMPLETE, json.dumps(sys.path)]
    try:
        process = subprocess.Popen(
            [*command, *(str(root / "runs" / run) for run in runs), what],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env={**os.environ, "MPLBACKEND": "Agg"},
            **_detached(),
        )
    except OSError as error:
        raise StoreError(f"cannot start {sys.executable} for earlier runs: {error.strerror}") from error
    # It may outlive us; if it does not, it is not to stay behind as a zombie.
    threading.Thread(target=process.wait, name="completing", daemon=True).start()
    return process


def _is_abandoned(folder: Path, known: RunRecord | None) -> bool:
    if known is not None and known.ended is not None:
        return False
    state = read_state(folder / JOURNAL)
    if state.run is None:
        return False
    host = state.run.facts.get("host")
    if host is not None and host != socket.gethostname():
        # Neither pids nor locks of another machine can be seen from here; only that it no longer gives signs of life.
        return known is not None and time.time() - (known.heartbeat or known.created) > CRASHED_AFTER
    if state.finish is None and state.pid is not None and is_alive(state.pid, state.pid_created):
        return False
    return _is_free(folder / LOCK)


def _is_free(lock: Path) -> bool:
    """Whether nobody holds a lock. Taking it for a moment may turn a recorder away, so this is asked last."""
    if not lock.exists():
        return True
    try:
        with FileLock(lock, timeout=0):
            return True
    except (Timeout, OSError):
        return False


def _detached() -> dict[str, Any]:
    """Return what lets a process outlive this one and its signals."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
