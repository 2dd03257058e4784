"""The thread that carries the recorder's frames to the page, gently."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.run.channel import Message

__all__ = ["Relay"]

INTERVAL = 0.2
"""Seconds between two messages to the page, at least: beyond a few hundred a second Jupyter drops a kernel's output."""

SEND_SHARE = 0.1
"""The part of this thread's time that sending may take: a send that took t seconds is followed by t / 0.1 of rest."""

BACKLOG = 8 << 20
"""Bytes that may wait. Beyond it they are dropped and the recorder is asked for whole frames."""


class Relay:
    """Sends frames to one panel, at most five a second, fewer when a send is slow; it never blocks the recorder's link.

    Frames that wait are merged: deltas into one, and a newer `run` message replaces an older one. `seq` is renumbered, so a
    gap that the page sees is a message that Jupyter lost. Must be made in the thread and cell whose output the page shows:
    the sending thread runs in that context, without which ipykernel 7.0 cannot tell where a message belongs.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any], list[bytes]], None],
        *,
        on_backlog: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        self._send = send
        self._on_backlog = on_backlog
        self._report = report
        self._waiting: list[Message] = []
        self._seq = 0
        self._closed = False
        self._changed = threading.Condition()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="runcast-relay", daemon=True
        )
        self._thread.start()

    def put(self, header: dict[str, Any], buffers: list[bytes]) -> None:
        """Queue one frame; safe from any thread, never waits."""
        with self._changed:
            if self._closed:
                return
            self._waiting = _merged(self._waiting, (header, buffers))
            overflow = len(self._waiting) > 1 and _size(self._waiting) > BACKLOG
            if overflow:
                self._waiting = [message for message in self._waiting if message[0]["kind"] == "run"]
            self._changed.notify()
        if overflow:
            self._on_backlog()

    def close(self, timeout: float = 0.0) -> None:
        """Send what waits, for at most `timeout` seconds, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                header, buffers = self._waiting.pop(0)
                self._seq += 1
            started = time.monotonic()
            try:
                self._send({**header, "seq": self._seq}, buffers)
            except Exception as error:  # noqa: BLE001  (a broken comm must not take the thread with it)
                self._report(f"the panel could not be updated: {error!r}")
            spent = time.monotonic() - started
            with self._changed:
                self._changed.wait_for(lambda: self._closed, max(INTERVAL, spent / SEND_SHARE))


def _merged(waiting: list[Message], new: Message) -> list[Message]:
    """Return the messages that wait, with `new` among them, as few as can be."""
    header, buffers = new
    if header["kind"] == "run":
        return [*(message for message in waiting if message[0]["kind"] != "run"), new]
    frames = [message for message in waiting if message[0]["kind"] != "run"]
    runs = [message for message in waiting if message[0]["kind"] == "run"]
    if header["kind"] == "delta" and frames and frames[-1][0]["kind"] == "delta":
        earlier, earlier_buffers = frames.pop()
        header = {**header, "series": [*earlier["series"], *header["series"]]}
        buffers = [first + second for first, second in zip(earlier_buffers, buffers, strict=True)]
    return [*frames, (header, buffers), *runs]


def _size(messages: list[Message]) -> int:
    return sum(len(buffer) for _, buffers in messages for buffer in buffers)
