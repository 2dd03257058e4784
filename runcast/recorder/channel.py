"""The recorder's ends of its stdin and stdout: neither may ever hold up recording."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections import deque
from typing import IO, TYPE_CHECKING, Any

from runcast.run.channel import Message, pack, read_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Inbox", "Outbox"]

log = logging.getLogger(__name__)


class Inbox:
    """Messages from the training process, read on a thread; `arrived` is called after each, and once at the end.

    The end of the stream does not mean that the training process died: it may have let go of the pipe only.
    """

    def __init__(self, stream: IO[bytes], arrived: Callable[[], None]) -> None:
        self.ended = False
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stream = stream
        self._arrived = arrived
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def take(self) -> list[Message]:
        """Return the messages that have come since the last call, without waiting."""
        return [self._messages.get() for _ in range(self._messages.qsize())]

    def _read(self) -> None:
        try:
            for message in read_messages(self._stream):
                self._messages.put(message)
                self._arrived()
        except (OSError, ValueError, KeyError, TypeError):
            log.exception("the channel from the training process cannot be read any more")
        self.ended = True
        self._arrived()


class Outbox:
    """Messages to the training process, written on a thread, so that one that does not read never stalls the recorder.

    Behind a broken pipe nobody listens any more: messages are taken, and vanish.
    """

    def __init__(self, fd: int, limit: int = 8 << 20) -> None:
        self._fd = fd
        self._limit = limit
        self._parts: deque[bytes] = deque()
        self._waiting = 0
        self._broken = False
        self._changed = threading.Condition()
        threading.Thread(target=self._write, name="outbox", daemon=True).start()

    def send(self, header: dict[str, Any], buffers: Iterable[bytes | memoryview] = ()) -> None:
        """Queue a message that answers a request or is said once, however much already waits."""
        self._put(pack(header, buffers), droppable=False)

    def offer(self, header: dict[str, Any], buffers: Iterable[bytes | memoryview] = ()) -> bool:
        """Queue a message if there is room, and say whether there was; an empty outbox has room for any."""
        return self._put(pack(header, buffers), droppable=True)

    @property
    def room(self) -> bool:
        """Whether an offer of a usual size would be taken now."""
        return self._waiting < self._limit // 2

    def flush(self, timeout: float) -> None:
        """Wait until everything is written, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._waiting and not self._broken:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _put(self, part: bytes, *, droppable: bool) -> bool:
        with self._changed:
            if self._broken:
                return True
            if droppable and self._waiting and self._waiting + len(part) > self._limit:
                return False
            self._parts.append(part)
            self._waiting += len(part)
            self._changed.notify_all()
            return True

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._parts:
                    self._changed.wait()
                part = self._parts.popleft()
            try:
                view = memoryview(part)
                while view:
                    view = view[os.write(self._fd, view[: 1 << 20]) :]
            except OSError:
                with self._changed:
                    self._broken = True
                    self._parts.clear()
                    self._waiting = 0
                    self._changed.notify_all()
                return
            with self._changed:
                self._waiting -= len(part)
                self._changed.notify_all()
