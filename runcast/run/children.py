"""The processes that a run's process starts: how they come to record their writers in its run.

While a run records writers, the environment of its process names the run (`RUNCAST_RUN`), and first on `PYTHONPATH` a folder
with nothing but a `sitecustomize.py`, which every Python started from here executes. When such a process imports a library
that writes event files, it joins the run (`runcast.run.joined`): it announces each writer in the run's journal, as
`child:<pid>`. What it starts inherits the environment. A forked child is a copy of this process and needs none of it.
"""

# Folders are compared as the text that an environment holds.
# ruff: noqa: PTH100, PTH113, PTH118, PTH120

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from runcast import capture
from runcast.run.journal import read_journal
from runcast.run.ranks import rank

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from pathlib import Path

__all__ = ["FOLDER", "RUN", "Children", "flush_at_exit", "without_run"]

RUN = "RUNCAST_RUN"
"""The environment variable that names the folder of the run to join."""

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child")

FLUSH = 2.0
"""Seconds that the end of a child may wait for its writers to be flushed."""


class Children:
    """The children of one run's process. `note(op, **fields)` writes to the run's journal, and raises nothing."""

    def __init__(self, folder: Path, note: Callable[..., None]) -> None:
        self.folder = folder
        self._note = note
        self._pid = os.getpid()
        self._before: str | None = None
        self._admitted: dict[str, Any] | None = None
        self.rank = rank()
        """The rank of the run's own process."""
        self._forked = False
        self._journal_read = 0

    def admit(self, *, save: bool) -> None:
        """Let processes that are started from now on join the run; again, to say that `save`, or what is captured, has changed.

        Children of an earlier run of this process that are still there, such as a pool's, are told to join this one.
        """
        global _latest  # noqa: PLW0603  a process has one environment
        terms = {"save": save, "rank": self.rank, "libraries": capture.captured()}
        if terms == self._admitted:
            return
        if self._admitted is None:
            if _latest is not None and _latest._pid == self._pid and _latest.folder != self.folder:  # noqa: SLF001
                _latest._note("next", folder=str(self.folder))  # noqa: SLF001
            _latest = self
            self._before = os.environ.get(RUN)
            _enter(os.environ, str(self.folder))
        self._admitted = terms
        self._note("capture", **terms)

    def release(self) -> None:
        """Let no more processes join; the environment is as it was, but for what others have changed in it since."""
        if self._admitted is None or os.environ.get(RUN) != str(self.folder):
            return
        self._admitted = None
        if self._before is None:
            without_run(os.environ)
        else:
            os.environ[RUN] = self._before

    def announced(self) -> list[str]:
        """Return the event files that children have announced since this was last asked."""
        try:
            entries, self._journal_read = read_journal(self.folder / "run.jsonl", self._journal_read)
        except OSError:
            return []
        return [
            str(entry.get("path"))
            for entry in entries
            if entry["op"] == "writer" and str(entry.get("by")).startswith("child:")
        ]

    def forking(self) -> None:
        """Before this process forks: the recorder must know, once, that there may be writers that it did not hear of yet."""
        if self._admitted is not None and not self._forked and os.getpid() == self._pid:
            self._forked = True
            self._note("child", pid=None, executable=sys.executable, why="")


_latest: Children | None = None


def without_run(environment: MutableMapping[str, str]) -> None:
    """Take out of an environment what makes a process join a run."""
    environment.pop(RUN, None)
    places = environment.get("PYTHONPATH", "").split(os.pathsep)
    kept = [place for place in places if place != FOLDER]
    if len(kept) == len(places):
        return
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)
    else:
        del environment["PYTHONPATH"]


def _enter(environment: MutableMapping[str, str], run: str) -> None:
    if os.pathsep in FOLDER or not os.path.isfile(os.path.join(FOLDER, "sitecustomize.py")):
        return  # nothing that PYTHONPATH could name: only declared logdirs cover children
    places = environment.get("PYTHONPATH", "")
    if FOLDER not in places.split(os.pathsep):
        environment["PYTHONPATH"] = os.pathsep.join([FOLDER, places] if places else [FOLDER])
    environment[RUN] = run


def flush_at_exit() -> None:
    """In a child: flush its writers at its end. Harmless when repeated.

    `multiprocessing` ends its children without the usual handlers and has its own; everywhere else `atexit` does.
    """
    global _flushed_at_exit  # noqa: PLW0603  once a process
    if _flushed_at_exit == os.getpid():
        return
    _flushed_at_exit = os.getpid()
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        # Before the queues are closed (10) through which tensorboardX sends its points to its thread.
        util.Finalize(None, capture.flush_all, args=(FLUSH,), kwargs={"remote": True}, exitpriority=100)


_flushed_at_exit: int | None = None


def _before_fork() -> None:
    if _latest is not None:
        _latest.forking()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
