"""One run, from the store on this machine to another: what is there already, what is missing, and in which order that goes.

Bytes go before what is said of them, and the run's end goes last. What the other store has is asked once, then followed from its answers;
of whole files, `Sent` remembers which version it was given.
"""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runcast.errors import AccessDenied, RunNotFound, ServerUnreachable, StoreError
from runcast.recorder.large import Large, Mark, close
from runcast.recorder.telling import Telling
from runcast.run.record import CONSOLE
from runcast.run.state import read_state
from runcast.store.paths import FilePath
from runcast.store.protocol import Append, Appended, FileRecord, OffsetMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runcast.run.record import RunRecord
    from runcast.store.local import LocalStore
    from runcast.store.protocol import Store

__all__ = ["Replication", "Sent"]

BATCH = 2 << 20
"""Bytes that one request brings of all files together, at most (but for a record that is longer)."""

MOST_FILES = 400
"""Files that one request brings bytes of."""

LONGEST = 1 << 30
"""Bytes that are sent of a file at a time, to bring a record as long as that, at most."""

LARGE = 8 << 20
"""Bytes from which on a whole file is sent beside everything else, over a connection of its own."""

FIRST_HOLD, LONGEST_HOLD = 1.0, 30.0
"""Seconds after which a file that the other store could not take is offered again, doubled each time."""

_LENGTH = struct.Struct("<Q")
_FRAME = 16
"""Bytes of an event file's record besides its content: the length, and two checksums."""

GLOBAL = (ServerUnreachable, AccessDenied, RunNotFound)
"""Errors that are about everything, not about one file."""


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
        self._telling = Telling(run)
        self._large: Large | None = None

    def close(self) -> None:
        """Let go of the other store."""
        if self._remote is not None:
            close(self._remote)
        if self._large is not None:
            self._large.abandon()

    def reconnect(self) -> None:
        """Open the other store anew with the next round: with the token that is kept for it by then."""
        if self._remote is not None:
            close(self._remote)
            self._remote = None

    @property
    def begun(self) -> bool:
        """Whether the other store has had the run."""
        return self._telling.begun

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
        if not self._telling.begun:
            self._begin(self._remote, record)
        more = self._append(self._remote, files)
        described = [file for file in files if file.path != CONSOLE]
        self._telling.tell(self._remote, record)
        self._telling.describe(self._remote, described)
        more |= self._put(self._remote, files)
        self._count(files)
        # What has come since the files were listed is told in the next round.
        self.complete = self.ended and not more and self._large is None and self._is_there(files)
        if self.complete:
            self._telling.describe(self._remote, described, everything=True)
            self._telling.end(self._remote, record)
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
        self._pieces[file.path] = min(LONGEST, max(2 * length, self._record_length(file, start)))
        return True

    def _record_length(self, file: FileRecord, start: int) -> int:
        """Return the length of the record that begins there, 0 if there is none: then its bytes were passed over."""
        head = self._read(file.path, start, start + _LENGTH.size)
        if len(head) < _LENGTH.size:
            return 0
        length = int(_LENGTH.unpack(head)[0]) + _FRAME
        return length if start + length <= file.size else 0

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
                    self._large = Large(self._open_remote, self.run, file.path, self._path(file.path), mark)
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


def _grows(path: str) -> bool:
    """Whether a file is appended to; others are put as a whole."""
    return FilePath.parse(path).grows
