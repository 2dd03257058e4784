"""Noting what Python code writes to `sys.stdout` and `sys.stderr`: for kernels, prompts, and where nothing else is possible."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.run.console.spool import Spool

__all__ = ["StreamWatch"]

INTERVAL = 0.2
"""Seconds between two writings of what was noted."""

MOST_WAITING = 16 << 20
"""Characters that may wait to be written; where a program prints faster, what is more is left out."""

_STREAMS = {"out": "stdout", "err": "stderr"}


class StreamWatch:
    """Notes what is written to the two streams from now on, until `stop`; a thread writes it to the spool.

    The streams stay the objects that they are, so whoever holds one (a logging handler, say) is heard as well. Writing costs a
    note in a list. `cell` says in which cell something is written. A forked child's writing is not noted. Errors of the spool
    (a full disk) go to `failed`, once, and end the noting.
    """

    def __init__(
        self, spool: Spool, cell: Callable[[], int | None], failed: Callable[[OSError], None]
    ) -> None:
        self._spool = spool
        self._cell = cell
        self._failed = failed
        self._pid = os.getpid()
        self._written: deque[tuple[str, str, int | None]] = deque()
        self._waiting = 0
        self._stopping = threading.Event()
        self._wrapped: list[tuple[Any, Any]] = []
        for name, attribute in _STREAMS.items():
            self._wrap(name, getattr(sys, attribute))
        self._thread = threading.Thread(target=self._run, name="runcast-console", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Note no more, and write what was noted."""
        for stream, wrapper in self._wrapped:
            if vars(stream).get("write") is wrapper:  # else someone has wrapped it after us, and calls ours
                del stream.write
        self._wrapped.clear()
        self._stopping.set()
        if os.getpid() == self._pid:
            self._thread.join(timeout)

    def _wrap(self, name: str, stream: Any) -> None:
        write = getattr(stream, "write", None)
        if write is None:  # there is no console, as under pythonw
            return

        def noted(text: Any) -> Any:
            result = write(text)
            if isinstance(text, str) and not self._stopping.is_set() and self._waiting < MOST_WAITING:
                self._waiting += len(text)
                self._written.append((name, text, self._cell()))
            return result

        with suppress(AttributeError, TypeError):  # a stream of someone's own that takes no attributes
            stream.write = noted
            self._wrapped.append((stream, noted))

    def _run(self) -> None:
        try:
            while not self._stopping.wait(INTERVAL):
                self._write()
            self._write()
            self._spool.close()
        except OSError as error:
            self._stopping.set()
            self._failed(error)

    def _write(self) -> None:
        pieces: list[str] = []
        now: tuple[str, int | None] | None = None
        while self._written:
            name, text, cell = self._written.popleft()
            self._waiting -= len(text)
            if (name, cell) != now:
                self._feed(now, pieces)
                now, pieces = (name, cell), []
            pieces.append(text)
        self._feed(now, pieces)
        self._spool.flush()

    def _feed(self, place: tuple[str, int | None] | None, pieces: list[str]) -> None:
        if place is not None:
            self._spool.feed(place[0], "".join(pieces), cell=place[1])
