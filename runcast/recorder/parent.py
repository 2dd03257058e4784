"""Whether the training process is still there, and the news of its end."""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from runcast.run.process import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Parent"]

POLL = 1.0
"""Seconds between looks at a process where the system cannot tell us of its end."""


class Parent:
    """Watches one process; `died` is called once, from a thread of its own, when it has ended.

    On Linux a pidfd tells of the end at once, even while a forked child keeps the parent's pipes open. Elsewhere the
    process is looked at every second, and whenever `look` is called.
    """

    def __init__(self, pid: int, created: float | None, died: Callable[[], None]) -> None:
        self.pid = pid
        # The process that started us is the one that is meant, whatever the clock did to creation times since.
        self._created = None if os.name == "posix" and os.getppid() == pid else created
        self._died = died
        self._pidfd = _open_pidfd(pid)
        self._look = threading.Event()
        self.alive = is_alive(pid, self._created)
        if self.alive:
            watch = self._poll if self._pidfd is None else self._wait
            threading.Thread(target=watch, name="parent", daemon=True).start()

    def look(self) -> None:
        """Look now rather than at the next poll: there is a sign that the process may have ended."""
        self._look.set()

    def _wait(self) -> None:
        assert self._pidfd is not None
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        while not poll.poll():
            pass
        self._end()

    def _poll(self) -> None:
        while is_alive(self.pid, self._created):
            self._look.wait(POLL)
            if self._look.is_set():
                self._look.clear()
                time.sleep(POLL / 10)  # a pipe closes a moment before its process is gone
        self._end()

    def _end(self) -> None:
        self.alive = False
        self._died()


def _open_pidfd(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends; None where the system has no such thing."""
    with suppress(AttributeError, OSError):
        return os.pidfd_open(pid)  # type: ignore[attr-defined,unused-ignore]
    return None
