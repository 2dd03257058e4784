from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import runcast
from runcast import capture

ROOT = Path(runcast.__file__).parents[1]


@pytest.fixture
def captured(tmp_path, monkeypatch):
    """The notices of one subscriber, from a process that is as it was before once the test is over."""
    monkeypatch.chdir(tmp_path)
    notices = []
    unsubscribe = capture.subscribe(notices.append)
    notices.clear()
    yield notices
    unsubscribe()
    capture.unpatch()


@pytest.fixture
def script(tmp_path):
    """Run a Python script in a process of its own, in `tmp_path`; return what it printed."""

    def run(source: str, timeout: float = 60) -> str:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(source))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RUNCAST_DIR": str(tmp_path / "store")}
        done = subprocess.run(
            [sys.executable, str(path)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
