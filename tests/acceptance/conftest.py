"""Running a user's script or notebook for real, and reading what became of it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from runcast.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Place:
    """A user's working folder and store, with the processes that a test started there."""

    folder: Path
    store: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "RUNCAST_DIR": str(self.store), "PYTHONUNBUFFERED": "1"}

    def start(self, script: str) -> subprocess.Popen[str]:
        """Start a script in the working folder; its stdout can be read line by line."""
        path = self.folder / "train.py"
        path.write_text(textwrap.dedent(script))
        process = subprocess.Popen(
            [sys.executable, path],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def runcast(self, *arguments: str) -> Any:
        """What `runcast … --json` prints."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = main(["--dir", str(self.store), *arguments, "--json"])
        assert code == 0
        return json.loads(printed.getvalue())

    def run_in_state(self, state: str, timeout: float = 20) -> dict[str, Any]:
        """The newest run, once it is in this state."""
        return self.wait_for(
            lambda: next((run for run in self.runcast("runs")[:1] if run["state"] == state), None), timeout
        )

    def wait_for(self, look: Callable[[], Any], timeout: float = 20) -> Any:
        """What `look` returns once that is something."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            time.sleep(0.1)
        pytest.fail(f"nothing came of {look} within {timeout} s")

    def recorder(self) -> psutil.Process:
        """The one recorder that works for this store."""
        (found,) = self.wait_for(self.recorders, 20)
        return found

    def recorders(self) -> list[psutil.Process]:
        """Every recorder that works for this store."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            copies_console = any(word.endswith("tee.py") for word in words)
            if not copies_console and any(word.startswith(str(self.store / "runs")) for word in words):
                found.append(process)
        return found

    def recorded_files(self, run: str) -> dict[str, Path]:
        """The run's copies of the user's event files, by name."""
        return {path.name: path for path in (self.store / "runs" / run / "files").rglob("*tfevents*")}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty working folder and store; what is still running in them at the end is ended."""
    folder = tmp_path / "project"
    folder.mkdir()
    place = Place(folder, tmp_path / "store")
    yield place
    for process in place.started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
    for recorder in place.recorders():
        recorder.kill()
