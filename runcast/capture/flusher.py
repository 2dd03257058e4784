"""The thread that keeps writers flushed, so that a chart is not `flush_secs=120` behind."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runcast.capture.writers import Known

__all__ = ["Flusher"]

log = logging.getLogger("runcast")

INTERVAL = 0.25
"""Seconds between flushes."""

SHARE = 0.02
"""The part of the time that flushing may take: where a flush is slow, the interval grows."""

LONGEST = 30.0
"""The longest interval, and that of writers on buckets, whose every flush writes the whole object again."""

FORK_WAIT = 2.0
"""Seconds that a fork waits for a flush to end before it goes ahead regardless."""

STOP_WAIT = 1.0


class Flusher:
    """Flushes the writers that `writers()` returns, while `wanted()`; one daemon thread, started when it is first needed.

    They are those on this machine or, with `remote`, those on buckets: a bucket that does not answer holds up no others.
    `look_again()` is called whenever writers are flushed: one may have opened another file.

    While a writer is flushed, the lock that `before_fork` takes is held: a child never inherits a writer's lock that no
    thread will release.
    """

    def __init__(
        self,
        writers: Callable[[], Iterable[Known]],
        wanted: Callable[[], bool],
        look_again: Callable[[], None] = lambda: None,
        *,
        remote: bool = False,
    ) -> None:
        self._all = writers
        self._remote = remote
        self._wanted = wanted
        self._look_again = look_again
        self._changed = threading.Condition()
        self._flushing = threading.Lock()
        self._fork_owner: int | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._asked = 0
        self._answered = 0
        self._deadline = 0.0
        self._poked = False

    def poke(self) -> None:
        """Say that there is a writer, or a subscriber, more."""
        if self._due():
            with self._changed:
                self._poked = True
                self._start()
                self._changed.notify_all()

    def flush_all(self, timeout: float) -> bool:
        """Flush every writer, after all that was logged so far has reached its file's buffer.

        Waits at most `timeout` seconds, even for a file system that hangs; whether all is flushed.
        """
        deadline = time.monotonic() + timeout
        self._look_again()
        if not any(known.flushable() is not None for known in self._writers()):
            return True
        with self._changed:
            if not self._stopped:
                self._asked += 1
                self._deadline = max(self._deadline, deadline)
                ticket = self._asked
                self._start()
                self._changed.notify_all()
                return self._changed.wait_for(lambda: self._answered >= ticket, timeout)
        self._flush_now(deadline)  # at exit: no thread can be started any more
        return time.monotonic() < deadline

    def stop(self) -> None:
        """End the thread, so that the end of the interpreter does not freeze it with a writer's lock in its hand."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(STOP_WAIT)

    def before_fork(self) -> None:
        """Wait until no writer is being flushed, and keep it so."""
        if self._flushing.acquire(timeout=FORK_WAIT):
            self._fork_owner = threading.get_ident()

    def after_fork(self) -> None:
        """Let flushing go on, in the parent."""
        if self._fork_owner == threading.get_ident():
            self._fork_owner = None
            self._flushing.release()

    def _start(self) -> None:
        if self._thread is None and not self._stopped:
            self._thread = threading.Thread(target=self._run, name="runcast-flusher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        pause, last_cost = INTERVAL, 0.0
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopped or self._asked > self._answered or self._poked,
                    pause if self._due() else None,
                )
                if self._stopped:
                    return
                ticket, deadline = self._asked, self._deadline
                asked = ticket > self._answered
                self._poked = False
            if asked:
                self._flush_now(deadline)
                with self._changed:
                    self._answered = ticket
                    self._changed.notify_all()
            else:
                began = time.perf_counter()
                self._flush_due()
                cost = time.perf_counter() - began
                # The lesser of two: a thread that waited for the interpreter's lock once did no harm to anyone.
                pause = LONGEST if self._remote else min(max(INTERVAL, min(cost, last_cost) / SHARE), LONGEST)
                last_cost = cost

    def _writers(self) -> list[Known]:
        return [known for known in self._all() if known.is_remote == self._remote]

    def _due(self) -> bool:
        """Whether there is anything for the thread to do by itself."""
        if not self._wanted():
            return False
        for known in self._writers():
            target = known.flushable()
            if (target is not None and _holds_back(known, target)) or known.opens_later:
                return True
        return False

    def _flush_due(self) -> None:
        if self._wanted():
            self._look_again()
            for known in self._writers():
                target = known.flushable()
                if target is not None and _holds_back(known, target):
                    self._flush(known, target)

    def _flush_now(self, deadline: float) -> None:
        for known in self._writers():
            target = known.flushable()
            if target is not None:
                try:
                    known.library.settle(target, deadline)
                except Exception:
                    log.debug("the queue of %s cannot be watched", known.path, exc_info=True)
                self._flush(known, target)

    def _flush(self, known: Known, target: object) -> None:
        with self._flushing:
            try:
                known.library.flush(target)
            except Exception:
                log.debug("%s cannot be flushed", known.path or known.logdir, exc_info=True)


def _holds_back(known: Known, target: object) -> bool:
    try:
        return known.library.holds_back(target)
    except Exception:  # noqa: BLE001  another version of the library
        return True
