"""Draws static forms on a thread: it takes a while, and recording goes on meanwhile."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

from runcast.recorder import static

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.recorder.channel import Outbox
    from runcast.run.record import RunRecord
    from runcast.store.protocol import Points, SeriesRecord, Store

__all__ = ["Drawing"]

log = logging.getLogger(__name__)

PIXELS = 500
"""Buckets of a series in the static form: wider than its charts, and small in a notebook file."""


class Drawing:
    """Answers requests for the static form of one run; those that come while it is drawn share the next drawing.

    `run` is called for the run as it is now. A form that cannot be drawn is answered without buffers, with an `error`.
    """

    def __init__(self, store: Store, run: Callable[[], RunRecord], outbox: Outbox) -> None:
        self.bundle = ""
        self.uid = ""
        self._store = store
        self._run = run
        self._outbox = outbox
        self._tokens: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._work, name="drawing", daemon=True).start()

    def request(self, token: object) -> None:
        """Draw and answer with `token`."""
        self._idle.clear()
        self._tokens.put(token)

    def settle(self, timeout: float) -> None:
        """Wait until all requests are answered, at most `timeout` seconds."""
        self._idle.wait(timeout)

    def _work(self) -> None:
        _warm()
        while True:
            tokens = [self._tokens.get()]
            tokens += [self._tokens.get() for _ in range(self._tokens.qsize())]
            self._answer(tokens)
            if self._tokens.empty():
                self._idle.set()

    def _answer(self, tokens: list[object]) -> None:
        run = self._run()
        started = time.monotonic()
        try:
            buffers = static.draw(
                run, self._store.series(run.id), self._points, bundle=self.bundle, uid=self.uid
            )
        except Exception as error:
            log.exception("the static form cannot be drawn")
            for token in tokens:
                self._outbox.send({"kind": "static", "token": token, "title": run.name, "error": str(error)})
            return
        log.debug("static form drawn in %.2f s", time.monotonic() - started)
        for token in tokens:
            self._outbox.send({"kind": "static", "token": token, "title": run.name}, buffers)

    def _points(self, series: SeriesRecord) -> Points:
        return self._store.points(self._run().id, series.root, series.source, series.tag, pixels=PIXELS)


def _warm() -> None:
    try:
        static.warm()
    except Exception:
        log.exception("the static form cannot be prepared")
