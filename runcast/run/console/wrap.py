"""Noting what Python code writes to `sys.stdout` and `sys.stderr`: for kernels, prompts, and where nothing else is possible."""

from __future__ import annotations

import functools
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
        self._writing = threading.local()
        streams = {name: getattr(sys, attribute) for name, attribute in _STREAMS.items()}
        self._streams = {name: stream for name, stream in streams.items() if hasattr(stream, "write")}
        self._wrappers: dict[str, list[Any]] = {name: [] for name in self._streams}
        self.look()
        self._thread = threading.Thread(target=self._run, name="runcast-console", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """See that the streams still go through us: IPython puts a wrapper of its own around each cell, and takes ours off with it."""
        for name, stream in self._streams.items():
            if not self._stopping.is_set() and stream.write not in self._wrappers[name]:
                with suppress(
                    AttributeError, TypeError
                ):  # a stream of someone's own that takes no attributes
                    stream.write = self._wrapper(name, stream.write)

    def stop(self, timeout: float = 1.0) -> None:
        """Note no more, and write what was noted."""
        self._stopping.set()
        for name, stream in self._streams.items():
            if (top := vars(stream).get("write")) in self._wrappers[
                name
            ]:  # else someone has wrapped ours, which notes nothing now
                stream.write = top.__wrapped__
        if os.getpid() == self._pid:
            self._thread.join(timeout)

    def _wrapper(self, name: str, write: Any) -> Any:
        writing = self._writing

        @functools.wraps(write)
        def noted(text: Any, *arguments: Any, **options: Any) -> Any:
            if self._stopping.is_set() or getattr(writing, "now", False):  # by a wrapper around this one
                return write(text, *arguments, **options)
            writing.now = True
            try:
                result = write(text, *arguments, **options)
            finally:
                writing.now = False
            if isinstance(text, str) and self._waiting < MOST_WAITING:
                self._waiting += len(text)
                self._written.append((name, text, self._cell()))
            return result

        self._wrappers[name].append(noted)
        del self._wrappers[name][:-2]  # at most one is within IPython's, and one around it
        return noted

    def _run(self) -> None:
        try:
            while not self._stopping.wait(INTERVAL):
                self.look()
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
