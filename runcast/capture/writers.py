"""The event-file writers of this process: who is there, and who wants to know."""

# Paths are text here: they may be addresses, such as s3://…
# ruff: noqa: PTH100, PTH120

from __future__ import annotations

import gc
import logging
import os
import threading
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runcast.capture.open_files import open_event_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.capture.libraries import Library

__all__ = ["Known", "WriterNotice", "Writers"]

log = logging.getLogger("runcast")


@dataclass(frozen=True, slots=True)
class WriterNotice:
    """An event file that this process writes. `path` and `logdir` are absolute (or addresses, such as `s3://…`).

    `adopted`: it was open before whoever is told began to listen.
    """

    path: str
    logdir: str
    library: str
    adopted: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A writer that is known. Only weak references: knowing it does not keep it alive."""

    notice: WriterNotice
    library: Library
    writer: weakref.ref[Any]
    target: weakref.ref[Any]

    @property
    def is_remote(self) -> bool:
        """Whether its file is on a bucket, where every flush writes the whole file again."""
        return "://" in self.notice.path

    @property
    def is_held(self) -> bool:
        """Whether the user still has it, open."""
        try:
            writer = self.writer()
            return writer is not None and self.flushable() is not None and not self.library.is_dropped(writer)
        except Exception:  # noqa: BLE001  another version of the library
            return True

    def flushable(self) -> Any:
        """Return its target, or None when that is gone or closed."""
        target = self.target()
        try:
            return None if target is None or self.library.is_closed(target) else target
        except Exception:  # noqa: BLE001  another version of the library: leave it alone
            return None


class Writers:
    """All writers that were seen, in order of opening; thread-safe. Callbacks are called on the opening thread."""

    def __init__(self) -> None:
        self.remembering = False
        """Whether writers that open while nobody listens are kept for the next who does."""
        self._lock = threading.RLock()
        self._known: list[Known] = []
        self._seen: set[str] = set()
        self._remembered: list[WriterNotice] = []
        self._callbacks: list[Callable[[WriterNotice], None]] = []

    @property
    def anyone_listens(self) -> bool:
        """Whether there is a subscriber."""
        return bool(self._callbacks)

    def opened(self, library: Library, writer: Any, *, adopted: bool = False) -> None:
        """Take note of a writer that has opened its file, and tell the subscribers. Never raises."""
        try:
            known = _know(library, writer, adopted=adopted)
            with self._lock:
                if any(other.writer() is writer for other in self._known):
                    return
                self._known = [other for other in self._known if other.flushable() is not None]
                self._known.append(known)
                self._seen.add(os.path.realpath(known.notice.path))
                callbacks = list(self._callbacks)
                if not callbacks and self.remembering:
                    self._remembered.append(known.notice)
        except Exception:
            log.debug("a writer of %s could not be noted", library.name, exc_info=True)
            return
        for callback in callbacks:
            _tell(callback, known.notice)

    def adopt(self, library: Library, cls: type) -> None:
        """Take note of the open writers that were made before anybody looked. Never raises."""
        classes = {cls, *_subclasses(cls)}
        for writer in [found for found in gc.get_objects() if type(found) in classes]:
            try:
                over = library.is_closed(library.target(writer)) or library.is_dropped(writer)
            except Exception:  # noqa: BLE001, S112  half made, or closed for good
                continue
            if not over:
                self.opened(library, writer, adopted=True)

    def subscribe(self, callback: Callable[[WriterNotice], None]) -> Callable[[], None]:
        """Call `callback(notice)` for each writer: at once for those that are there, later for those that open.

        Returns a function that ends that.
        """
        with self._lock:
            there = {notice.path: notice for notice in self._remembered}
            self._remembered.clear()
            for known in self._known:
                if known.is_held:
                    there.setdefault(known.notice.path, known.notice)
            foreign = [path for path in open_event_files() if path not in self._seen]
            self._callbacks.append(callback)
        for path in foreign:
            there.setdefault(path, WriterNotice(path, os.path.dirname(path), "open file"))
        for notice in there.values():
            _tell(callback, replace(notice, adopted=True))

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return unsubscribe

    def known(self) -> list[Known]:
        """Return the writers that may still write."""
        with self._lock:
            return list(self._known)

    def forget(self) -> None:
        """Forget the writers (not the subscribers): those of a parent process are not its child's to flush."""
        self._lock = threading.RLock()
        self._known, self._remembered = [], []


def _know(library: Library, writer: Any, *, adopted: bool) -> Known:
    path = library.path(writer)
    if "://" not in path:
        path = os.path.abspath(path)
    notice = WriterNotice(path, os.path.dirname(path), library.name, adopted)
    return Known(notice, library, weakref.ref(writer), weakref.ref(library.target(writer)))


def _tell(callback: Callable[[WriterNotice], None], notice: WriterNotice) -> None:
    try:
        callback(notice)
    except Exception:
        log.debug("a subscriber failed on %s", notice.path, exc_info=True)


def _subclasses(cls: type) -> set[type]:
    found: set[type] = set(cls.__subclasses__())
    return found.union(*(_subclasses(each) for each in found))
