"""What the training process notes of its run: in the journal, or, for the user, on the logger `runcast`."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from runcast.errors import JournalError

if TYPE_CHECKING:
    from runcast.run.journal import Journal

__all__ = ["Notes"]

log = logging.getLogger("runcast")

UNWRITTEN_LIMIT = 10_000
"""Journal entries that are kept for a disk that is full now."""


class Notes:
    """Writes to a run's journal, and warns; thread-safe. Nothing here raises."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.RLock()
        self._unwritten: list[tuple[str, dict[str, Any]]] = []
        self._warned: set[str] = set()

    def note(self, op: str, **fields: Any) -> None:
        """Write to the journal; while that fails, keep the entries for the next time."""
        with self._lock:
            self._unwritten.append((op, fields))
            try:
                while self._unwritten:
                    self._journal.append(self._unwritten[0][0], **self._unwritten[0][1])
                    del self._unwritten[0]
            except JournalError as error:
                self.warn("journal", f"{error}. Training goes on; this is tried again with the next entry")
                del self._unwritten[UNWRITTEN_LIMIT:]

    def warn(self, key: str, text: str) -> None:
        """Tell the user, once a key."""
        if key not in self._warned:
            self._warned.add(key)
            log.warning("runcast: %s", text)

    def child(self, journal: Journal) -> Notes:
        """Return the notes of a forked child, which has a journal of its own and none of the parent's locks."""
        notes = Notes(journal)
        notes._warned = self._warned
        return notes
