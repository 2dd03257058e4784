"""One run, from the store on this machine to another: what is there already, what is missing, and in which order that goes.

Bytes go before what is said of them, and the run's end goes last. What the other store has is asked once, then followed from its answers;
of whole files, `Sent` remembers which version it was given.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runcast.errors import AccessDenied, RunNotFound, ServerUnreachable, StoreError
from runcast.run.record import CONSOLE
from runcast.run.state import read_state
from runcast.store.paths import FilePath
from runcast.store.protocol import Append, Appended, Facts, FileRecord, OffsetMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runcast.run.record import RunRecord
    from runcast.store.local import LocalStore
    from runcast.store.protocol import Store

__all__ = ["Mark", "Replication", "Sent"]

BATCH = 2 << 20
"""Bytes that one request brings of all files together, at most (but for a record that is longer)."""

MOST_FILES = 400
"""Files that one request brings bytes, or facts, of."""

LONGEST = 1 << 30
"""Bytes that are sent of a file at a time, to bring a record as long as that, at most."""

LARGE = 8 << 20
"""Bytes from which on a whole file is sent beside everything else, over a connection of its own."""

HEARTBEAT = 30.0
"""Seconds between two signs of life."""

REFRESH = 30.0
"""Seconds after which it is said again how large the source of a file is that just grows."""

FIRST_HOLD, LONGEST_HOLD = 1.0, 30.0
"""Seconds after which a file that the other store could not take is offered again, doubled each time."""

GLOBAL = (ServerUnreachable, AccessDenied, RunNotFound)
"""Errors that are about everything, not about one file."""

Mark = tuple[int, int]
"""A whole file's version: its size, and when it was written, in nanoseconds."""

_RESUMABLE = ("interrupted", "error")
"""Facts of an end that no longer hold when a run goes on."""


@dataclass
class Sent:
    """What is remembered of a replication between processes: versions of whole files, and what was refused and why."""

    whole: dict[str, Mark] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Replication:
    """Brings the run `run` from `local` to another store, in rounds. For one thread; `close` at the end.

    `open_remote` opens the other store: once for nearly everything, and once more for large files, on a thread of their own. A round
    raises what the other store raises when it cannot be used; the next one goes on where it has got to.
    """

    def __init__(
        self, local: LocalStore, open_remote: Callable[[], Store], run: str, sent: Sent | None = None
    ) -> None:
        self.run = run
        self.sent = sent if sent is not None else Sent()
        self.waiting = 0
        """Bytes that are here and not there, as far as is known."""
        self.total = 0
        """Bytes that are here."""
        self.complete = False
        """Whether everything is there, the run's end included; what was refused is left out."""
        self.looked = self.ended = False
        """Whether the run has been looked at, and had ended then."""
        self._local = local
        self._open_remote = open_remote
        self._remote: Store | None = None
        self._sizes: dict[str, int] = {}
        self._pieces: dict[str, int] = {}
        self._held: dict[str, tuple[float, float]] = {}
        self._trouble: dict[str, str] = {}
        self._seen: RunRecord | None = None
        self._raw: RunRecord | None = None
        self._told: RunRecord | None = None
        self._described: dict[str, tuple[FileRecord, float]] = {}
        self._heartbeat = 0.0
        self._large: _Large | None = None

    def close(self) -> None:
        """Let go of the other store."""
        if self._remote is not None:
            _close(self._remote)
        if self._large is not None:
            self._large.abandon()

    def reconnect(self) -> None:
        """Open the other store anew with the next round: with the token that is kept for it by then."""
        if self._remote is not None:
            _close(self._remote)
            self._remote = None

    @property
    def begun(self) -> bool:
        """Whether the other store has had the run."""
        return self._told is not None

    @property
    def trouble(self) -> str:
        """What keeps the other store from taking a file now, while it takes others; "" if nothing does."""
        return next((f"{path}: {why}" for path, why in self._trouble.items()), "")

    def console_size(self) -> int:
        """Return how many bytes of console are here: they come past the store."""
        mark = self._mark(CONSOLE)
        return 0 if mark is None else mark[0]

    def measure(self) -> None:
        """Find out how much waits, without asking the other store."""
        with suppress(RunNotFound):
            self._count(self._files())

    def round(self) -> bool:
        """Bring the next piece of everything; whether there is more at once. Raises `StoreError`."""
        try:
            record = self._record()
        except RunNotFound:
            return False  # its recorder has not made it known yet
        files = self._files()
        self.ended, self.looked = record.ended is not None, True
        self._count(files)
        if self._remote is None:
            self._remote = self._open_remote()
        if self._told is None:
            self._begin(self._remote, record)
        more = self._append(self._remote, files)
        self._tell(self._remote, record)
        self._describe(self._remote, files, everything=False)
        more |= self._put(self._remote, files)
        self._count(files)
        # What has come since the files were listed is told in the next round.
        self.complete = self.ended and not more and self._large is None and self._is_there(files)
        if self.complete:
            self._describe(self._remote, files, everything=True)
            self._end(self._remote, record)
        return more

    # What is here

    def _record(self) -> RunRecord:
        """Return the run with the config that the user set: what trials add to it is worked out where it is read."""
        record = replace(self._local.run(self.run), heartbeat=None)
        if record != self._seen or self._raw is None:
            self._seen = record
            folder = self._local.root / "runs" / self.run
            noted = read_state(folder / "run.jsonl").run
            self._raw = record if noted is None else replace(record, config=noted.config)
        return self._raw

    def _files(self) -> list[FileRecord]:
        files = list(self._local.files(self.run))
        with suppress(OSError):
            size = (self._local.root / "runs" / self.run / CONSOLE).stat().st_size
            files.append(FileRecord(CONSOLE, size, source_size=size))
        return files

    def _path(self, path: str) -> Path:
        return self._local.root / "runs" / self.run / path

    def _read(self, path: str, start: int, stop: int) -> bytes:
        if path != CONSOLE:
            return self._local.read(self.run, path, start, stop)
        try:
            with self._path(path).open("rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as error:
            raise StoreError(f"cannot read {self._path(path)}: {error.strerror}") from error

    def _mark(self, path: str) -> Mark | None:
        """Return a whole file's version; None if it is not there."""
        try:
            status = self._path(path).stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def _count(self, files: Iterable[FileRecord]) -> None:
        self.waiting = self.total = 0
        for file in files:
            if _grows(file.path):
                size, there = file.size, min(self._sizes.get(file.path, 0), file.size)
            else:
                mark = self._mark(file.path) if file.size else None
                size = mark[0] if mark is not None else 0
                there = size if mark is None or self.sent.whole.get(file.path) == mark else 0
            self.total += size
            if file.path not in self.sent.refused:
                self.waiting += size - there

    def _is_there(self, files: Iterable[FileRecord]) -> bool:
        self._count(files)
        return self.waiting == 0

    # What is there

    def _begin(self, remote: Store, record: RunRecord) -> None:
        """Make the run known, and learn what is there of it."""
        remote.create(replace(record, state="running", ended=None))
        there = {file.path: file.size for file in remote.files(self.run)}
        self._sizes = {path: size for path, size in there.items() if _grows(path)}
        for path, mark in list(self.sent.whole.items()):
            if there.get(path) != mark[0]:
                del self.sent.whole[path]

    # Bytes of files that grow

    def _append(self, remote: Store, files: Iterable[FileRecord]) -> bool:
        """Bring the next bytes of files that have grown, those first that lack the least; whether there is more."""
        now = time.monotonic()
        behind = [
            file
            for file in files
            if _grows(file.path) and file.size > self._there(file) and not self._is_held(file.path, now)
        ]
        behind.sort(key=lambda file: file.size - self._there(file))
        room, more = BATCH, False
        batch: list[tuple[FileRecord, Append]] = []
        for file in behind:
            start = self._there(file)
            if (piece := self._pieces.get(file.path)) is not None:
                length = min(file.size - start, piece)
                if (answer := self._append_alone(remote, file, start, length)) is not None:
                    more |= self._answered(file, answer, start + length)
                continue
            if room <= 0 or len(batch) >= MOST_FILES:
                more = True
                break
            length = min(file.size - start, room)
            more |= start + length < file.size
            batch.append((file, Append(file.path, start, self._read(file.path, start, start + length))))
            room -= length
        if batch:
            answers = remote.append_all(self.run, [append for _, append in batch])
            for (file, append), each in zip(batch, answers, strict=True):
                more |= self._answered(file, each, append.offset + len(append.data))
        return more

    def _there(self, file: FileRecord) -> int:
        return self._sizes.get(file.path, 0)

    def _append_alone(
        self, remote: Store, file: FileRecord, start: int, length: int
    ) -> Appended | OffsetMismatch | None:
        """Bring bytes of one file; None if it is refused."""
        data = self._read(file.path, start, start + length)
        # What was passed over here is to be passed over there, too.
        final = start + length >= file.size or file.skipped > 0
        try:
            return remote.append(self.run, file.path, start, data, final=final)
        except GLOBAL:
            raise
        except StoreError as error:
            self._refuse(file.path, str(error))
            return None

    def _answered(
        self, file: FileRecord, answer: Appended | OffsetMismatch | StoreError, offered: int
    ) -> bool:
        """Take in what became of an append up to `offered`; whether there is more to send of the file at once."""
        if isinstance(answer, StoreError):
            self._hold(file.path)
            self._trouble[file.path] = str(answer)
            return False
        self._trouble.pop(file.path, None)
        start, self._sizes[file.path] = self._there(file), answer.size
        if isinstance(answer, OffsetMismatch) or answer.size > start:
            self._pieces.pop(file.path, None)
            self._held.pop(file.path, None)
            self.sent.refused.pop(file.path, None)
            return answer.size < file.size
        # Nothing was taken: a record that is longer than what was sent, or bytes that were passed over here and must be told so there.
        length = offered - start
        if file.path in self._pieces and (offered >= file.size or length >= LONGEST):
            self._refuse(file.path, f"the server takes nothing of it from byte {start} on")
            return False
        self._pieces[file.path] = 2 * length
        return True

    def _refuse(self, path: str, why: str) -> None:
        """Leave a file out, and offer it again now and then: what is wrong with it will hardly get better."""
        self.sent.refused[path] = why
        self._hold(path)

    def _hold(self, path: str) -> None:
        delay = min(2 * self._held[path][1], LONGEST_HOLD) if path in self._held else FIRST_HOLD
        self._held[path] = (time.monotonic() + delay, delay)

    def _is_held(self, path: str, now: float) -> bool:
        return path in self._held and now < self._held[path][0]

    # Whole files

    def _put(self, remote: Store, files: Iterable[FileRecord]) -> bool:
        """Bring whole files that have changed; whether there are more."""
        if self._large is not None and self._large.done:
            large, self._large = self._large, None
            self._put_answered(large.path, large.mark, large.error)
        now = time.monotonic()
        for file in files:
            if _grows(file.path) or not file.size or self._is_held(file.path, now):
                continue
            mark = self._mark(file.path)
            if mark is None or self.sent.whole.get(file.path) == mark:
                continue
            if mark[0] >= LARGE:
                if self._large is None:
                    self._large = _Large(self._open_remote, self.run, file.path, self._path(file.path), mark)
                continue
            error: StoreError | None = None
            try:
                remote.put(self.run, file.path, self._path(file.path))
            except GLOBAL:
                raise
            except (StoreError, OSError) as failure:
                error = failure if isinstance(failure, StoreError) else StoreError(str(failure))
            self._put_answered(file.path, mark, error)
        return False

    def _put_answered(self, path: str, mark: Mark, error: Exception | None) -> None:
        if isinstance(error, GLOBAL):
            raise error
        if error is not None:
            self._refuse(path, str(error))
            return
        self.sent.whole[path] = mark
        self._held.pop(path, None)
        self.sent.refused.pop(path, None)

    # What is said of the run and its files

    def _tell(self, remote: Store, record: RunRecord) -> None:
        """Say what has changed of the run (but for its end), and every `HEARTBEAT` that it lives."""
        now = time.monotonic()
        told = self._told
        goes_on = told is not None and told.ended is not None and record.ended is None
        if told is None:
            gone = {fact: None for fact in _RESUMABLE if fact not in record.facts}
            state = None if self.ended else "running"
            facts = Facts(
                record.name, record.project, state, config=record.config, facts={**record.facts, **gone}
            )
        elif replace(told, state=record.state, ended=record.ended) != record:
            facts = Facts(
                name=record.name if record.name != told.name else None,
                project=record.project if record.project != told.project else None,
                config={
                    key: value for key, value in record.config.items() if told.config.get(key, self) != value
                },
                facts={
                    key: value for key, value in record.facts.items() if told.facts.get(key, self) != value
                }
                | {key: None for key in told.facts if key not in record.facts},
            )
        elif not goes_on and (now - self._heartbeat < HEARTBEAT or self.ended):
            return
        else:
            facts = Facts()
        if not self.ended:
            facts = replace(facts, heartbeat=time.time())
        if goes_on:
            facts = replace(facts, state="running")
        remote.update(self.run, facts)
        self._told = replace(record, state="running", ended=None)
        self._heartbeat = now

    def _end(self, remote: Store, record: RunRecord) -> None:
        """Say how the run ended: all of it is there."""
        if self._told is not None and (self._told.state, self._told.ended) != (record.state, record.ended):
            remote.update(self.run, Facts(state=record.state, ended=record.ended))
            self._told = record

    def _describe(self, remote: Store, files: Iterable[FileRecord], *, everything: bool) -> None:
        """Say what became of files' sources, where that has changed."""
        now = time.monotonic()
        due = [
            file for file in files if file.path != CONSOLE and self._is_due(file, now, everything=everything)
        ]
        for at in range(0, len(due), MOST_FILES):
            several = due[at : at + MOST_FILES]
            remote.describe(self.run, *several)
            self._described.update((file.path, (file, now)) for file in several)

    def _is_due(self, file: FileRecord, now: float, *, everything: bool) -> bool:
        told, at = self._described.get(file.path, (None, 0.0))
        if told is None:
            return True
        if (told.state, told.why, told.source_path) != (file.state, file.why, file.source_path):
            return True
        return told.source_size != file.source_size and (everything or now - at >= REFRESH)


class _Large:
    """Sends one large file on a thread of its own, so that what is measured meanwhile need not wait for it."""

    def __init__(
        self, open_remote: Callable[[], Store], run: str, path: str, source: Path, mark: Mark
    ) -> None:
        self.path = path
        self.mark = mark
        self.error: Exception | None = None
        self.done = False
        self._open_remote = open_remote
        self._run = run
        self._source = source
        self._remote: Store | None = None
        threading.Thread(target=self._send, name="replica-large", daemon=True).start()

    def abandon(self) -> None:
        """Wait for it no more."""
        if self._remote is not None:
            _close(self._remote)

    def _send(self) -> None:
        try:
            self._remote = self._open_remote()
            self._remote.put(self._run, self.path, self._source)
        except Exception as error:  # noqa: BLE001  told where it is asked for
            self.error = error
        finally:
            if self._remote is not None:
                _close(self._remote)
            self.done = True


def _grows(path: str) -> bool:
    """Whether a file is appended to; others are put as a whole."""
    return FilePath.parse(path).grows


def _close(store: Store) -> None:
    close: Callable[[], None] | None = getattr(store, "close", None)
    if close is not None:
        close()
