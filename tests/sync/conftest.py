"""Trees of logs as writers leave them, and the command that brings them."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from runcast.cli import main
from runcast.events.writer import EventWriter
from runcast.store.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONG_AGO = time.time() - 3600


def _write(path: Path, points: int, first: int = 0, tag: str = "loss") -> Path:
    """Write scalars to an event file, or go on with one, and make it look as if that was a while ago."""
    writer = EventWriter(path)
    for step in range(first, first + points):
        writer.scalars({tag: 1 / (step + 1)}, step, 1.7e9 + step)
    writer.close()
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """What writes event files."""
    return _write


class Sync:
    """`runcast sync`, as a user types it, into a store of the test's own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr."""
        self._capsys.readouterr()
        code = main(["--dir", str(self.folder), "sync", *map(str, words)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: object, code: int = 0) -> dict:
        """Return what `--json` prints."""
        got, out, err = self(*words, "--json")
        assert got == code, err
        return json.loads(out)

    def outcomes(self, *words: object, code: int = 0) -> dict[str, tuple[str, int]]:
        """Return what became of each run, by name, and how many events came with it."""
        return {run["name"]: (run["outcome"], run["events"]) for run in self.json(*words, code=code)["runs"]}

    def store(self) -> LocalStore:
        return LocalStore(self.folder)


@pytest.fixture
def sync(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Sync:
    """The command, without anything of the user's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("RUNCAST_TO", "RUNCAST_PROJECT", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return Sync(tmp_path / "store", capsys)
