"""Which run `init` goes on with: a new one, or an earlier one that ended or crashed."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runcast.errors import RunLocked, RunNotFound, SettingsError, StoreError
from runcast.run.process import is_alive
from runcast.run.record import new_run_id
from runcast.run.state import RunState, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runcast.settings import Settings

__all__ = ["Marker", "holding", "run_to_resume"]

LOCK_WAIT = 10.0
"""Seconds to wait for the recorder of a process that has just gone: it is completing the run."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Remembers the latest run of a project, working folder and program, for `resume="auto"`: a file in `RUNCAST_DIR/resume`.

    It is written when a run starts, and removed when that run ends well. Nothing here raises.
    """

    path: Path

    @classmethod
    def of(cls, place: Path, project: str, cwd: str, notebook: str | None) -> Marker:
        """Return the marker of what this process runs."""
        program = notebook or getattr(sys.modules.get("__main__"), "__file__", None) or ""
        key = "\0".join((project, os.path.realpath(cwd), os.path.realpath(program) if program else ""))
        return cls(place / "resume" / hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:24])

    def read(self) -> str | None:
        """Return the id of the run; None where there is none."""
        try:
            return self.path.read_text("utf-8").strip() or None
        except (OSError, ValueError):
            return None

    def write(self, run: str) -> None:
        """Remember the run."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(f"{run}\n", "utf-8")

    def clear(self, run: str) -> None:
        """Forget the run, unless another one is remembered by now."""
        if self.read() == run:
            with suppress(OSError):
                self.path.unlink()


def run_to_resume(settings: Settings, marker: Marker) -> tuple[str, bool]:
    """Return the id of the run that starts, and whether it is there already and goes on.

    Raises `RunNotFound` where `resume="must"` names a run that there is not, `SettingsError` where a run is there that must
    not be.
    """
    run, resume = settings.id, settings.resume
    if run is None and resume == "must":
        raise SettingsError(
            "resume='must' needs to know which run: give its id, as in init(id=…, resume='must')"
        )
    if run is None and resume == "auto":
        run = marker.read()
        if run is None or not _can_go_on(settings.dir / "runs" / run):
            return new_run_id(), False
        return run, True
    if run is None:
        return new_run_id(), False
    if not (settings.dir / "runs" / run / "run.jsonl").exists():
        if resume == "must":
            raise RunNotFound(
                f"there is no run {run!r} in {settings.dir} to resume: `runcast runs` lists those that are"
            )
        return run, False
    if resume in (None, "never"):
        how = (
            "give another id" if resume == "never" else "give another id, or resume='allow' to go on with it"
        )
        raise SettingsError(f"there is a run {run!r} in {settings.dir} already: {how}")
    return run, True


@contextmanager
def holding(folder: Path) -> Iterator[RunState]:
    """Keep every recorder away from a run for a moment, and yield what its journal says.

    Raises `RunLocked` where another process records the run, or its recorder does not come to an end.
    """
    from filelock import FileLock, Timeout  # most runs are new

    try:
        with FileLock(folder / "recorder.lock", timeout=LOCK_WAIT if not _is_recorded(folder) else 0):
            state = read_state(folder / "run.jsonl")
            if state.run is None:
                raise StoreError(
                    f"{folder / 'run.jsonl'} does not say which run this is: it cannot be resumed"
                )
            if _has_process(state):
                raise _locked(folder, state)
            yield state
    except Timeout:
        raise _locked(folder, read_state(folder / "run.jsonl")) from None
    except OSError as error:
        raise StoreError(
            f"cannot resume the run in {folder}: {error.strerror}; check its permissions"
        ) from error


def _can_go_on(folder: Path) -> bool:
    """Whether a run is there that did not end well, and that no other process records."""
    state = read_state(folder / "run.jsonl")
    if state.run is None or _has_process(state):
        return False
    return state.finish is None or state.finish.state != "finished" or state.finish.interrupted


def _is_recorded(folder: Path) -> bool:
    return _has_process(read_state(folder / "run.jsonl"))


def _has_process(state: RunState) -> bool:
    """Whether the process that records the run, another than this one, still does so."""
    return (
        state.finish is None
        and state.pid not in (None, os.getpid())
        and is_alive(state.pid, state.pid_created)
    )


def _locked(folder: Path, state: RunState) -> RunLocked:
    who = f"process {state.pid}" if _has_process(state) else "its recorder"
    return RunLocked(
        f"the run {folder.name} is being recorded by {who}: wait for its end, or end that, and resume it then"
    )
