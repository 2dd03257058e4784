"""What the store is told of a run beside its bytes: what it is, that it lives, what became of its files, how it ended."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runcast.store.protocol import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runcast.run.record import RunRecord
    from runcast.store.protocol import FileRecord, Store

__all__ = ["HEARTBEAT", "INTERVAL", "Ledger"]

HEARTBEAT = 30.0
"""Seconds between two signs of life."""

INTERVAL = 1.0
"""Seconds between two notes of one file, at least."""

REFRESH = 30.0
"""Seconds after which a file that just grows is noted again."""

BEHIND = 1 << 20
"""Bytes that recording may be behind a file that grows before that is noted sooner."""

BUDGET = 0.1
"""Seconds that one call may spend on notes of files; the rest is noted by later calls."""

TOGETHER = 50
"""Files that are noted in one transaction."""


class Ledger:
    """Keeps a store's row of one run, and those of its files, up to date. Everything raises what the store raises."""

    def __init__(self, store: Store, run: RunRecord) -> None:
        self._store = store
        self.run = run.id
        self._told: RunRecord | None = None
        self._heartbeat = float("-inf")
        self._files: dict[str, tuple[FileRecord, float]] = {}
        # However it ended: until all of it is recorded, it is a run that runs.
        store.create(replace(run, state="running", ended=None))
        if run.ended is None:  # it may have ended before, and been resumed
            store.update(run.id, Facts(state="running", facts=run.facts))

    def note_run(self, run: RunRecord, now: float) -> None:
        """Tell what has changed of the run (but for its end), and every `HEARTBEAT` that it lives."""
        changed = run != self._told
        if not changed and now - self._heartbeat < HEARTBEAT:
            return
        facts = Facts(heartbeat=time.time())
        if changed:
            facts = Facts(
                name=run.name, project=run.project, heartbeat=time.time(), config=run.config, facts=run.facts
            )
        self._store.update(self.run, facts)
        self._told, self._heartbeat = run, now

    def knows(self, path: str) -> bool:
        """Whether the store has been told of this file."""
        return path in self._files

    def note_files(self, files: Iterable[FileRecord], now: float, *, everything: bool = False) -> None:
        """Tell what has changed of files; `everything` is for the last time."""
        stop = float("inf") if everything else time.monotonic() + BUDGET
        due = (file for file in files if self._is_due(file, now, everything=everything))
        while several := list(itertools.islice(due, TOGETHER)):
            self._store.describe(self.run, *several)
            self._files.update((file.path, (file, now)) for file in several)
            if time.monotonic() > stop:
                return

    def end(self, run: RunRecord) -> None:
        """Tell how the run ended: all of it is recorded."""
        self._store.update(
            self.run,
            Facts(
                name=run.name,
                project=run.project,
                state=run.state,
                ended=run.ended,
                heartbeat=time.time(),
                config=run.config,
                facts=run.facts,
            ),
        )

    def _is_due(self, file: FileRecord, now: float, *, everything: bool) -> bool:
        told, at = self._files.get(file.path, (None, 0.0))
        if told is None:
            return True
        if told == file or (now - at < INTERVAL and not everything):
            return False
        if everything or (told.state, told.why) != (file.state, file.why):
            return True
        return file.source_size - file.size > BEHIND or now - at >= REFRESH
