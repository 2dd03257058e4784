"""What panels are given: points, what the run is, static forms, and TensorBoard. Without a panel it costs next to nothing."""

from __future__ import annotations

import itertools
import logging
import time
from typing import TYPE_CHECKING, Any

from runcast.recorder.drawing import Drawing
from runcast.recorder.feed import Feed
from runcast.recorder.report import run_json
from runcast.recorder.static_charts import is_system
from runcast.recorder.tensorboard import LazyTensorBoard
from runcast.run.record import OWN_ROOT
from runcast.store.frames import MOST_FILES, SCALARS
from runcast.store.paths import FilePath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runcast.events import Batch
    from runcast.recorder.channel import Outbox
    from runcast.run.record import RunRecord
    from runcast.store.protocol import Store

__all__ = ["Panels"]

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two `run` frames, at least."""

STILL_THERE = 10.0
"""Seconds after which a `run` frame is sent although it says nothing new: a page that hears nothing for long doubts us."""

SYSTEM = f"{OWN_ROOT}/system/"
"""Where the event files of the system metrics are."""

MOST_PANELS = 4
"""Panels of one run that are kept moving; the oldest gives way."""


class Panels:
    """Serves the panels of one run. Used by one thread; drawing and TensorBoard have theirs.

    `run` is called for the run as it is now, `url` for its page on a server. There are panels before there is a store: `open` brings it.
    """

    def __init__(
        self, folder: Path, run: Callable[[], RunRecord], outbox: Outbox, url: Callable[[], str | None]
    ) -> None:
        self._folder = folder
        self._run = run
        self._url = url
        self._outbox = outbox
        self._store: Store | None = None
        self._feeds: dict[str, Feed] = {}
        self._bundle = ""
        self._tokens: list[object] = []
        self._drawing: Drawing | None = None
        self._tensorboard: LazyTensorBoard | None = None
        self._points = 0
        self._updated: float | None = None
        self._said: dict[str, Any] = {}
        self._said_at = float("-inf")
        self._sent_at = float("-inf")

    @property
    def tensorboard_port(self) -> int | None:
        """The port at which TensorBoard starts when somebody connects; None while there is none."""
        return self._tensorboard.port if self._tensorboard is not None else None

    def start_tensorboard(self) -> None:
        """Bind TensorBoard's port; harmless when that is done, silent where none is to be had."""
        if self._tensorboard is None:
            try:
                self._tensorboard = LazyTensorBoard(self._folder)
            except OSError:
                log.exception("there is no port for TensorBoard")

    def open(self, store: Store) -> None:
        """Begin to read what panels are given from `store`. Raises what it raises."""
        series = [
            each for each in store.series(self._run().id) if each.plugin == SCALARS and not is_system(each)
        ]
        self._points = sum(each.count for each in series)
        self._updated = max((each.last_wall_time for each in series), default=None)
        self._store = store
        self._prepare_drawing()

    def show(self, uid: str, bundle: str) -> None:
        """Send to the panel `uid` from now on, all points first; `bundle` is the path of its static form's script."""
        self._feeds.pop(uid, None)
        self._feeds[uid] = Feed(self._run().id, uid, self._outbox)
        for oldest in list(itertools.islice(self._feeds, max(0, len(self._feeds) - MOST_PANELS))):
            del self._feeds[oldest]
        self._bundle = bundle
        self._said = {}
        self._prepare_drawing()

    def resend(self) -> None:
        """Send every panel everything again."""
        for feed in self._feeds.values():
            feed.resend()
        self._said = {}

    def draw(self, token: object) -> None:
        """Answer `static` with `token`, once the static form is drawn."""
        self._tokens.append(token)
        self._prepare_drawing()

    def draw_last(self) -> None:
        """Send the form that stands in the notebook once the run has ended, unasked, if there is a panel."""
        if self._feeds:
            self.draw(None)

    def add(self, path: str, batch: Batch) -> None:
        """Take in what the store has indexed of the file at `path`."""
        points = len(batch.scalars.step)
        if not points:
            return
        if not path.startswith(
            SYSTEM
        ):  # system metrics come all the time, and are not what somebody waits for
            self._points += points
            self._updated = time.time()
        if self._feeds:
            place = FilePath.parse(path)
            for feed in self._feeds.values():
                feed.add(place.root, place.source, batch.scalars)

    def due(self, now: float) -> float:
        """Return in how many seconds `send` has something to do."""
        if not self._feeds or self._store is None:
            return float("inf")
        waits = [wait for feed in self._feeds.values() if (wait := feed.due(now)) is not None]
        return min([max(0.0, self._said_at + INTERVAL - now), *waits])

    def send(self, files: Callable[[], Iterable[dict[str, Any]]], *, at_once: bool = False) -> None:
        """Send the frames that are due; with `at_once`, all that there is to send. Raises what the store raises."""
        if self._store is None:
            return
        for feed in self._feeds.values():
            feed.send(self._store, at_once=at_once)
        now = time.monotonic()
        if self._feeds and (at_once or now - self._said_at >= INTERVAL):
            self._say(files, now)

    def finish(self, timeout: float) -> None:
        """Answer what is still to be drawn, in at most `timeout` seconds, and end TensorBoard."""
        if self._drawing is not None:
            self._drawing.settle(timeout)
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _say(self, files: Callable[[], Iterable[dict[str, Any]]], now: float) -> None:
        said = {
            "run": run_json(self._run(), self._folder, self._url()),
            "points": self._points,
            "updated": self._updated,
            "files": list(itertools.islice(files(), MOST_FILES)),
            "tensorboard": self.tensorboard_port,
        }
        self._said_at = now
        if said != self._said or now - self._sent_at >= STILL_THERE:
            self._sent_at = now
            taken = [self._outbox.offer({**feed.stamp("run"), **said}) for feed in self._feeds.values()]
            self._said = said if all(taken) else {}

    def _prepare_drawing(self) -> None:
        """Have matplotlib loaded once there is a panel: the first static form shall not take longer than the next."""
        if self._store is None or not (self._feeds or self._tokens):
            return
        if self._drawing is None:
            self._drawing = Drawing(self._store, self._run, self._outbox)
        self._drawing.bundle = self._bundle
        self._drawing.uid = next(reversed(self._feeds), "")
        while self._tokens:
            self._drawing.request(self._tokens.pop(0))
