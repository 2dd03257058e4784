"""The recorder's second step: the run that is recorded here is brought to a server, on a thread that recording never waits for."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from runcast.credentials import token_for
from runcast.errors import RuncastError, RunNotFound, ServerUnreachable
from runcast.recorder.replication import Replication, Sent
from runcast.store.protocol import FileRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runcast.store.local import LocalStore
    from runcast.store.protocol import Store

__all__ = ["NOTE", "REPLICA_LOCK", "Note", "Replica", "open_server", "size_words"]

log = logging.getLogger(__name__)

NOTE = "replica.json"
"""The file in a run's folder that says, by server, how far the run was brought there."""

REPLICA_LOCK = "replica.lock"

INTERVAL = 0.5
"""Seconds between rounds while the run moves, and between looks whether it does."""

AT_LEAST = 10.0
"""Seconds after which there is a round although nothing has moved: for a sign of life, and for files that were refused."""

POLL = 0.2
"""Seconds between looks whether what is waited for has happened."""

FAREWELL = 1.0
"""Seconds that stopping may take."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before another attempt when the server cannot be used: doubled each time, and about half of it left to chance."""

PATIENCE = 10.0
"""Seconds for which a server may be away without a word to the user, and for which the end of a run waits for it to return."""

LINGER = 60.0
"""Seconds for which the recorder of a run that has ended waits for a server to return, before it leaves the rest to the next one."""

RETELL = 300.0
"""Seconds for which one warning is enough."""


@dataclass
class Note:
    """What is known of a run's way to one server, as it stands in the run's folder."""

    complete: bool = False
    waiting: int = 0
    total: int = 0
    """Bytes that are not there, and bytes that are here."""
    since: float | None = None
    """When the server was last of use before it was not any more; None while it is."""
    why: str = ""
    gone: bool = False
    """Whether the server has had the run and has it no more: somebody deleted it there."""
    sent: Sent = field(default_factory=Sent)

    @classmethod
    def read(cls, folder: Path, url: str) -> Note | None:
        """Return what was noted; None where nothing that can be read was."""
        said = cls.all(folder).get(url)
        if said is None:
            return None
        note = cls()
        with suppress(KeyError, TypeError, ValueError):
            note.complete, note.waiting = bool(said["complete"]), int(said["waiting"])
            note.total = int(said["total"])
            note.since, note.why, note.gone = said["since"], str(said["why"]), bool(said["gone"])
            note.sent.whole = {
                str(path): (int(mark[0]), int(mark[1])) for path, mark in said["whole"].items()
            }
            note.sent.refused = {str(path): str(why) for path, why in said["refused"].items()}
        return note

    @staticmethod
    def all(folder: Path) -> dict[str, dict[str, Any]]:
        """Return what was noted for each server, by address."""
        try:
            found = json.loads((folder / NOTE).read_bytes())
        except (OSError, ValueError):
            return {}
        return (
            {url: said for url, said in found.items() if isinstance(said, dict)}
            if isinstance(found, dict)
            else {}
        )

    @property
    def missing(self) -> str:
        """What is not there and why, in words; "" if everything is."""
        if self.why:
            since = "" if self.since is None else time.strftime(" since %H:%M:%S", time.localtime(self.since))
            return f"{size_words(self.waiting)} waiting{since}: {self.why}"
        if self.sent.refused:
            path, why = next(iter(self.sent.refused.items()))
            return f"not taken: {path} ({why})" + (
                f" and {len(self.sent.refused) - 1} more" if len(self.sent.refused) > 1 else ""
            )
        return "" if self.complete or not self.waiting else f"{size_words(self.waiting)} waiting"

    def row(self, url: str) -> FileRecord:
        """Return how far the run is on the server, as a row among its files."""
        state = "retrying" if self.why else "recorded" if self.complete else "recording"
        there = max(0, self.total - self.waiting)
        return FileRecord(url, there, source_size=self.total, state=state, why=self.missing)

    def write(self, folder: Path, url: str) -> None:
        """Note it. What cannot be written is found out again by whoever comes next."""
        said = {
            "complete": self.complete,
            "waiting": self.waiting,
            "total": self.total,
            "since": self.since,
            "why": self.why,
            "gone": self.gone,
            "whole": self.sent.whole,
            "refused": self.sent.refused,
        }
        part = folder / f".{NOTE}.part"
        try:
            part.write_text(json.dumps({**self.all(folder), url: said}, indent=1), "utf-8")
            part.replace(folder / NOTE)
        except OSError as error:
            log.warning("cannot write %s: %s", folder / NOTE, error)


def open_server(url: str, *, patience: float) -> Store:
    """Open the server's store with the token that is kept for it now."""
    from runcast.store.remote import RemoteStore  # only who has a server needs requests

    return RemoteStore(url, token_for(url), patience=patience)


class Replica:
    """Brings the run in `folder` to the server at `url`, from `start` until it is there or `stop`.

    Nothing here raises: a server that cannot be used is tried again, less and less often, and `warn` is told. Where another process
    brings the run there, this waits for its end and goes on.
    """

    def __init__(
        self, folder: Path, open_local: Callable[[], LocalStore], url: str, warn: Callable[[str], None]
    ) -> None:
        self.url = url
        self._folder = folder
        self._open_local = open_local
        self._warn = warn
        self._note = Note.read(folder, url) or Note()
        self._replication: Replication | None = None
        self._changed = threading.Condition()
        self._awake = False
        self._stopping = False
        self._over = False
        self._complete_at = self._goes_on_at = float("-inf")
        self._failing_since: float | None = None
        self._failures = 0
        self._refused_at = float("-inf")
        self._used = False
        self._retell_at = self._written = float("-inf")

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._work, name="replica", daemon=True).start()

    def stop(self) -> None:
        """Send no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over, FAREWELL)

    def settle(self, patience: float = PATIENCE, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the run, which has ended, is on the server; False once that has been of no use for `patience` seconds.

        It is given up at once where the server refuses, when the run goes on in another process, and when `stop` says so.
        """
        asked = time.monotonic()
        with self._changed:
            self._awake = True
            self._changed.notify_all()
            while self._complete_at < asked:
                now = time.monotonic()
                since = asked if self._replication is None else self._failing_since
                # A refusal of before says nothing: there may be a new token.
                refused = self._refused_at >= asked
                if stop() or self._over or refused or (since is not None and now - since >= patience):
                    return False
                if self._goes_on_at >= asked:
                    return False
                self._changed.wait(POLL)
            return True

    def linger(self, *, stop: Callable[[], bool] = lambda: False) -> bool:
        """Wait on, as `settle` does, for a server that may return."""
        return self.settle(LINGER, stop=stop)

    @property
    def missing(self) -> str:
        """What is not on the server and why, in words; "" if everything is."""
        return self._note.missing

    def row(self) -> FileRecord:
        """Return how far the run is on the server, as a row among its files."""
        return self._note.row(self.url)

    # The thread

    def _work(self) -> None:
        lock = FileLock(self._folder / REPLICA_LOCK)
        try:
            while not self._stopping:
                with suppress(Timeout), lock.acquire(timeout=INTERVAL):
                    self._replicate()
                    return
        except Exception:
            log.exception("the run cannot be brought to %s any more", self.url)
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _replicate(self) -> None:
        self._note = Note.read(self._folder, self.url) or self._note
        self._note.complete = False
        self._write()
        with self._open_local() as local:
            self._replication = replication = Replication(
                local, lambda: open_server(self.url, patience=0.0), self._folder.name, self._note.sent
            )
            try:
                self._rounds(local, replication)
            finally:
                replication.close()
                self._write()

    def _rounds(self, local: LocalStore, replication: Replication) -> None:
        mark, console, last = 0, -1, float("-inf")
        while not self._stopping and (self._folder / "run.jsonl").exists():
            began = time.monotonic()
            try:
                latest, runs = local.changes(mark)
                size = replication.console_size()
                moved = self._folder.name in runs or size != console
                mark, console = latest, size
                if moved or self._awake or self._failing_since is not None or began - last >= AT_LEAST:
                    self._awake, last = False, began
                    more = replication.round()
                    pause = 0.0 if more else INTERVAL
                    if replication.trouble:
                        self._failed(replication, ServerUnreachable(replication.trouble), began)
                    else:
                        self._succeeded(replication, began)
                else:
                    pause = INTERVAL
            except RuncastError as error:
                replication.reconnect()
                pause = self._failed(replication, error, began)
            with self._changed:
                if pause and not self._awake:
                    self._changed.wait_for(lambda: self._stopping or self._awake, pause)

    def _write(self) -> None:
        self._written = time.monotonic()
        self._note.write(self._folder, self.url)

    # What became of a round

    def _succeeded(self, replication: Replication, began: float) -> None:
        note = self._note
        if self._failing_since is not None:
            log.warning("%s can be used again", self.url)
        changed = note.complete != replication.complete or note.since is not None
        note.complete, note.since, note.why = replication.complete, None, ""
        note.waiting, note.total = replication.waiting, replication.total
        with self._changed:
            self._used = replication.begun
            self._failing_since, self._failures = None, 0
            if replication.complete:
                self._complete_at = began
            elif replication.looked and not replication.ended:  # another process goes on with the run
                self._goes_on_at = began
            self._changed.notify_all()
        if changed or began - self._written >= AT_LEAST:
            self._write()

    def _failed(self, replication: Replication, error: RuncastError, began: float) -> float:
        """Note that the round which began then failed; return the seconds until the next attempt."""
        now = time.monotonic()
        note = self._note
        refused = not isinstance(error, ServerUnreachable)
        with suppress(RuncastError):
            replication.measure()
        note.complete, note.why = False, str(error)
        note.waiting, note.total = replication.waiting, replication.total
        note.gone = isinstance(error, RunNotFound) and replication.begun
        with self._changed:
            first = self._failing_since is None
            self._failing_since = now if first else self._failing_since
            if refused:
                self._refused_at = began
            self._failures += 1
            self._changed.notify_all()
        if first:
            log.warning("the run cannot be brought to %s for now: %s", self.url, error)
            note.since = time.time()
            self._write()
        assert self._failing_since is not None
        if (refused or not self._used or now - self._failing_since >= PATIENCE) and now >= self._retell_at:
            self._retell_at = now + RETELL
            self._write()
            self._warn(
                f"{error}. The run is recorded on this machine all the same, and brought to the server as soon as that is possible"
            )
        longest = min(FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def size_words(count: int) -> str:
    """Return a number of bytes as a person reads it."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    units = ["kB", "MB", "GB", "TB"]
    while (value := value / 1000) >= 1000 and len(units) > 1:
        del units[0]
    return f"{value:.3g} {units[0]}"
