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

from runcast.capture.open_files import event_files_of_this_process, open_event_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runcast.capture.library import Library

__all__ = ["Known", "WriterNotice", "Writers"]

log = logging.getLogger("runcast")

OPEN_FILE = "open file"
"""The library of a file that was found open, written by code that is not known."""


@dataclass(frozen=True, slots=True)
class WriterNotice:
    """An event file that this process writes. `path` and `logdir` are absolute (or addresses, such as `s3://…`).

    Where native code names the files on a bucket, `path` is a pattern for all of them. `adopted`: it was open before whoever
    is told began to listen.
    """

    path: str
    logdir: str
    library: str
    adopted: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A writer that is known. Only weak references: knowing it does not keep it alive.

    `path` is None where native code names the files, and `logdir` as well where nobody can tell.
    """

    library: Library
    path: str | None
    logdir: str | None
    writer: weakref.ref[Any]
    target: weakref.ref[Any]

    @property
    def is_remote(self) -> bool:
        """Whether its file is on a bucket, where every flush writes the whole file again."""
        return "://" in (self.path or self.logdir or "")

    @property
    def is_held(self) -> bool:
        """Whether the user still has it, open."""
        try:
            writer = self.writer()
            return writer is not None and self.flushable() is not None and not self.library.is_dropped(writer)
        except Exception:  # noqa: BLE001  another version of the library
            return True

    @property
    def opens_later(self) -> bool:
        """Whether it may open a file that is not known yet."""
        try:
            writer = self.writer()
            return writer is not None and self.library.opens_later(writer)
        except Exception:  # noqa: BLE001  another version of the library
            return False

    def flushable(self) -> Any:
        """Return its target, or None when that is gone or closed."""
        target = self.target()
        try:
            return None if target is None or self.library.is_closed(target) else target
        except Exception:  # noqa: BLE001  another version of the library: leave it alone
            return None


class Writers:
    """All writers that were seen, in order of opening; thread-safe. Callbacks are called on the thread that found the file."""

    def __init__(self) -> None:
        self.remembering = False
        """Whether writers that open while nobody listens are kept for the next who does."""
        self._lock = threading.RLock()
        self._known: list[Known] = []
        self._seen: dict[str, str] = {}
        self._native: set[str] = set()
        self._later: dict[str | None, Known] = {}
        """By folder, those whose files native code opens later: perhaps just before they are gone."""
        self._remembered: list[WriterNotice] = []
        self._callbacks: list[Callable[[WriterNotice], None]] = []

    @property
    def anyone_listens(self) -> bool:
        """Whether there is a subscriber."""
        return bool(self._callbacks)

    def opened(
        self, library: Library, writer: Any, arguments: Collection[Any] = (), *, adopted: bool = False
    ) -> None:
        """Take note of a writer that has opened its file, and tell the subscribers. Never raises.

        `arguments` are what it was made with, as far as that is known.
        """
        try:
            known = _know(library, writer, arguments)
            with self._lock:
                if any(other.writer() is writer for other in self._known):
                    return
                self._known = [
                    other for other in self._known if other.flushable() is not None or other.opens_later
                ]
                self._known.append(known)
                if known.opens_later and _noticed_path(known) is None:
                    self._later[known.logdir] = known
        except Exception:
            log.debug("a writer of %s could not be noted", library.name, exc_info=True)
            return
        self._tell_of_files(known, adopted=adopted)

    def adopt(self, libraries: dict[type, Library]) -> None:
        """Take note of the open writers of these classes that were made before anybody looked. Never raises."""
        classes = {sub: library for cls, library in libraries.items() for sub in (cls, *_subclasses(cls))}
        # Each object refers to its class; so this is one pass over the heap, in C, and half as long as over all objects.
        for writer in gc.get_referrers(*classes):
            library = classes.get(type(writer))
            if library is None:
                continue
            try:
                over = library.is_closed(library.target(writer)) or library.is_dropped(writer)
            except Exception:  # noqa: BLE001, S112  half made, or closed for good
                continue
            if not over:
                self.opened(library, writer, adopted=True)

    def look_again(self) -> None:
        """Take note of files that known writers have opened since. Never raises."""
        for known in self.known():
            if known.opens_later and known.path is not None:
                try:
                    now = self._renewed(known)
                    if now is not known:
                        self._tell_of_files(now)
                except Exception:
                    log.debug("a writer of %s could not be looked at", known.library.name, exc_info=True)
        with self._lock:
            later = list(self._later.values())
        for known in later:
            self._tell_of_files(known)

    def subscribe(self, callback: Callable[[WriterNotice], None]) -> Callable[[], None]:
        """Call `callback(notice)` for each writer: at once for those that are there, later for those that open.

        Returns a function that ends that.
        """
        with self._lock:
            there = {notice.path: notice for notice in self._remembered}
            self._remembered.clear()
            for known in self._known:
                if known.is_held and (path := _noticed_path(known)) is not None:
                    there.setdefault(path, _notice(path, known.library.name))
            for path in open_event_files():
                real = os.path.realpath(path)
                if real in self._native or real not in self._seen:
                    there.setdefault(path, _notice(path, self._seen.get(real, OPEN_FILE)))
                    self._native.add(real)
            self._callbacks.append(callback)
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
        self._known, self._remembered, self._later = [], [], {}

    def _renewed(self, known: Known) -> Known:
        """Return the writer as it is now: one that was closed and opened again has another thread and another file."""
        writer = known.writer()
        now = _know(known.library, writer, ())
        if now.path == known.path and now.target() is known.target():
            return known
        with self._lock:
            self._known = [now if other is known else other for other in self._known]
        return now

    def _tell_of_files(self, known: Known, *, adopted: bool = False) -> None:
        """Tell the subscribers of a writer's file, or of those among its files that are new."""
        with self._lock:
            notices = [_notice(path, known.library.name, adopted=adopted) for path in self._fresh(known)]
            callbacks = list(self._callbacks)
            if not callbacks and self.remembering:
                self._remembered += notices
        for notice in notices:
            for callback in callbacks:
                _tell(callback, notice)

    def _fresh(self, known: Known) -> list[str]:
        path = _noticed_path(known)
        if path is not None:
            self._seen[os.path.realpath(path)] = known.library.name
            return [path]
        native = open_event_files() if known.logdir is None else event_files_of_this_process(known.logdir)
        fresh = []
        for path in native:
            real = os.path.realpath(path)
            if real not in self._seen:
                self._seen[real] = known.library.name
                self._native.add(real)
                fresh.append(path)
        return fresh


def _know(library: Library, writer: Any, arguments: Collection[Any]) -> Known:
    path = library.path(writer)
    logdir = library.logdir(writer, arguments) if path is None else None
    return Known(
        library,
        None if path is None else _absolute(path),
        None if logdir is None else _absolute(logdir),
        weakref.ref(writer),
        weakref.ref(library.target(writer)),
    )


def _noticed_path(known: Known) -> str | None:
    """Return the path that a notice of this writer bears; None where its files must be looked for."""
    if known.path is None and known.logdir is not None and known.is_remote:
        return f"{known.logdir.rstrip('/')}/*tfevents*"
    return known.path


def _notice(path: str, library: str, *, adopted: bool = False) -> WriterNotice:
    return WriterNotice(path, os.path.dirname(path), library, adopted)


def _absolute(path: str) -> str:
    path = path.removeprefix("file://")
    return path if "://" in path else os.path.abspath(path)


def _tell(callback: Callable[[WriterNotice], None], notice: WriterNotice) -> None:
    try:
        callback(notice)
    except Exception:
        log.debug("a subscriber failed on %s", notice.path, exc_info=True)


def _subclasses(cls: type) -> set[type]:
    found: set[type] = set(cls.__subclasses__())
    return found.union(*(_subclasses(each) for each in found))
