"""Sending one large file beside everything else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runcast.store.protocol import Store

__all__ = ["Large", "Mark", "close"]

Mark = tuple[int, int]
"""A whole file's version: its size, and when it was written, in nanoseconds."""


class Large:
    """Sends one large file on a thread of its own, so that what is measured meanwhile need not wait for it."""

    def __init__(
        self, open_remote: Callable[[], Store], run: str, path: str, source: Path, mark: Mark
    ) -> None:
        self.path = path
        self.mark = mark
        self.error: Exception | None = None
        self.done = False
        self._open_remote = open_remote
        self._run = run
        self._source = source
        self._remote: Store | None = None
        threading.Thread(target=self._send, name="replica-large", daemon=True).start()

    def abandon(self) -> None:
        """Wait for it no more."""
        if self._remote is not None:
            close(self._remote)

    def _send(self) -> None:
        try:
            self._remote = self._open_remote()
            self._remote.put(self._run, self.path, self._source)
        except Exception as error:  # noqa: BLE001  told where it is asked for
            self.error = error
        finally:
            if self._remote is not None:
                close(self._remote)
            self.done = True


def close(store: Store) -> None:
    """Let go of a store that can be closed."""
    closing: Callable[[], None] | None = getattr(store, "close", None)
    if closing is not None:
        closing()
