"""The run that this process was born into: its parent's. The child announces its writers there, and has no recorder."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from runcast import capture
from runcast.run.children import FLUSH, flush_at_exit
from runcast.run.journal import Journal, read_journal
from runcast.run.ranks import rank, ranked
from runcast.run.record import is_own
from runcast.run.roots import Roots
from runcast.run.state import RunState

if TYPE_CHECKING:
    from runcast.capture import WriterNotice

__all__ = ["Joined", "join"]

log = logging.getLogger("runcast")


class Joined:
    """A run of another process's, in `folder`; thread-safe.

    Once it has ended, writers that open here are announced in the run which followed it in that process; where there is
    none, nowhere. The same holds while this process records writers in a run of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        self._folder: Path
        self._journal: Journal
        self._state: RunState
        self._roots: Roots
        self._read = 0
        self._go_to(folder)

    def writer_opened(self, notice: WriterNotice) -> None:
        """Announce a writer, whichever run is active now."""
        active = sys.modules.get("runcast.run.active")
        own = active.active_run() if active is not None else None
        if own is not None and own.captures:
            return
        with self._lock:
            if not self._follow():
                return
            if self._state.libraries is not None and notice.library not in self._state.libraries:
                return
            path = notice.path
            if is_own(self._folder, path):
                return
            flush_at_exit()
            root, source = self._roots.locate(path)
            number = rank()
            self._journal.append(
                "writer",
                root=root,
                source=ranked(source, number, self._state.rank),
                path=path,
                library=notice.library,
                adopted=notice.adopted,
                save=self._state.save,
                rank=number,
            )

    def begin(self) -> None:
        """Say in the journal that this process may write event files, before it does."""
        with self._lock:
            if self._follow():
                self._journal.append("child", pid=os.getpid(), executable=sys.executable, why="")

    def forked(self) -> None:
        """In a forked child: an author of its own, and none of the parent's locks."""
        self._lock = threading.RLock()
        self._journal = Journal(self._journal.path, f"child:{os.getpid()}")

    def _follow(self) -> bool:
        """Read on in the journal, and go over to the next run where this one has ended; whether there is a run."""
        while True:
            entries, self._read = read_journal(self._journal.path, self._read)
            for entry in entries:
                self._state.fold(entry)
                match entry["op"]:
                    case "start" | "resume":
                        self._roots = Roots(self._state.cwd)
                        for watch in self._state.watches.values():
                            self._roots.declare(watch.path)
                    case "watch":
                        self._roots.declare(str(entry.get("path")))
            if not self._state.following:
                return self._state.run is not None and self._state.finish is None
            self._go_to(Path(self._state.following))

    def _go_to(self, folder: Path) -> None:
        self._folder = folder
        self._journal = Journal(folder / "run.jsonl", f"child:{os.getpid()}")
        self._read = 0
        self._state = RunState()
        self._roots = Roots(self._state.cwd)


def join(folder: str) -> None:
    """Have this process's writers recorded in the run in `folder`; once a process.

    Raises `JournalError` or `OSError` when the run's journal cannot be read or written.
    """
    joined = Joined(Path(folder))
    joined.begin()
    capture.patch()
    capture.subscribe(joined.writer_opened)
    atexit.register(capture.flush_all, FLUSH, remote=True)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=joined.forked)
