"""What is found out about a run beside its recording: facts for the journal, whole files for the store.

A thread of its own does it: git on a slow file system must hold up neither the training nor the recording.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from runcast.errors import JournalError, RunNotFound, StoreError
from runcast.recorder.facts import Repository, machine_facts, requirements, surroundings, uncommitted
from runcast.recorder.facts.code import notebook_place, script
from runcast.recorder.facts.notebook import notebook_path
from runcast.run.record import NOTEBOOK
from runcast.store.protocol import FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runcast.run.journal import Journal
    from runcast.run.state import RunState
    from runcast.store.protocol import Store

__all__ = ["Findings"]

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between looks at the notebook's history."""

FIRST = 0.05
"""Seconds between looks whether the store knows the run yet."""

RETRY, SLOWEST_RETRY = 1.0, 30.0
"""Seconds until a file that the store refused is tried again, doubled each time, and at most."""


class Findings:
    """Finds out about the run in `folder`, once, and keeps its notebook's history up to date until `finish`.

    `found` is called, on the thread, whenever the journal has something new. What fails is tried again or left out; nothing
    raises.
    """

    def __init__(
        self, folder: Path, open_store: Callable[[], Store], journal: Journal, found: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._open_store = open_store
        self._journal = journal
        self._found = found
        self._store: Store | None = None
        self._state: RunState | None = None
        self._place = notebook_place(None)
        self._history: tuple[int, int] | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, state: RunState, pid: int | None) -> None:
        """Begin with a run as it is now; `pid` is its process, None if that is gone and only its history can be kept."""
        assert state.run is not None
        self._state = state
        self._place = notebook_place(state.run.facts.get("notebook"))
        self._thread = threading.Thread(target=self._work, args=(pid,), name="findings", daemon=True)
        self._thread.start()

    def finish(self, timeout: float) -> bool:
        """Take what there is now as the last, and wait for that up to `timeout` seconds; whether everything is kept."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout)
        return self._thread is None or not self._thread.is_alive()

    def _work(self, pid: int | None) -> None:
        assert self._state is not None
        assert self._state.run is not None
        steps: list[Callable[[], None]] = []
        if pid is not None and self._state.gathered < self._state.begun:
            steps += [self._note_machine, lambda: self._note_notebook(pid), self._note_repository]
            steps += [self._keep_files]
        elif pid is not None:
            steps += [lambda: self._note_notebook(pid)]
        for step in steps:
            try:
                step()
            except Exception:  # noqa: PERF203  one step less is no reason for no more
                log.exception("something about this run cannot be found out")
        while not self._ending.wait(POLL):
            self._keep_history()
        self._keep_history()
        if pid is not None:
            self._note_notebook(pid)  # it may have been renamed meanwhile

    # Facts

    def _note(self, facts: dict[str, Any]) -> None:
        if not facts:
            return
        try:
            self._journal.append("set", values={"facts": facts})
        except JournalError as error:
            log.warning("%s; the next recorder of this run tries again", error)
        self._found()

    def _note_machine(self) -> None:
        assert self._state is not None
        self._note({"cwd": self._state.cwd, **machine_facts(), **surroundings()})

    def _note_notebook(self, pid: int) -> None:
        assert self._state is not None
        assert self._state.run is not None
        told = self._state.run.facts.get("notebook")
        if not told:
            return
        path = notebook_path(pid, told)
        if path is not None and path != told:
            self._note({"notebook": path})
        if path is not None and self._history is None:
            self._place = notebook_place(path)

    def _note_repository(self) -> None:
        assert self._state is not None
        if "git" not in self._state.left_out and (git := self._repository.facts()):
            self._note({"git": git})

    # Files

    def _keep_files(self) -> None:
        for path, data in self._files():
            self._keep(path, data)
        self._keep_history()

    def _files(self) -> Iterator[tuple[str, bytes]]:
        assert self._state is not None
        assert self._state.run is not None
        left_out = self._state.left_out
        if "code" not in left_out and (code := script(self._state.run.facts, self._state.cwd)) is not None:
            yield code
        if "packages" not in left_out:
            yield "requirements.txt", requirements().encode()
        if "git" not in left_out:
            for name, data in uncommitted(self._repository):
                yield f"git/{name}", data

    @property
    def _repository(self) -> Repository:
        assert self._state is not None
        return Repository(self._state.cwd)

    def _keep_history(self) -> None:
        """Keep the notebook's history as the kernel left it last."""
        path = self._folder / NOTEBOOK
        with suppress(OSError):
            status = path.stat()
            mark = status.st_mtime_ns, status.st_ino
            if mark != self._history:
                self._keep(self._place, path.read_bytes())
                self._history = mark

    def _keep(self, path: str, data: bytes) -> None:
        """Put a file into the store, when that can be."""
        delay = RETRY
        while True:
            try:
                if self._store is None:
                    self._store = self._open_store()
                size = self._store.put(self._folder.name, path, data)
                row = FileRecord(path, size, source_size=size, state="recorded")
                self._store.describe(self._folder.name, row)
            except RunNotFound:  # noqa: PERF203  the loop makes it known as it starts
                time.sleep(FIRST)
            except (StoreError, OSError) as error:
                log.warning("%s cannot be kept for now: %s", path, error)
                time.sleep(delay)
                delay = min(2 * delay, SLOWEST_RETRY)
            else:
                return
