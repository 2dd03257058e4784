"""`LocalStore`: runs in a folder, with an index in SQLite or PostgreSQL."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runcast.errors import StoreError
from runcast.store.catalog import CRASHED_AFTER, Catalog
from runcast.store.database import Database
from runcast.store.fields import fill
from runcast.store.history import read_file, read_files, read_points, read_series, read_summaries, read_values
from runcast.store.paths import FilePath
from runcast.store.places.folder import FolderFiles
from runcast.store.protocol import Append, FileRecord, Points, RunQuery, SeriesRecord, SummaryRecord
from runcast.store.sqlite import SQLite
from runcast.store.transactions import MEMORY
from runcast.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from runcast.run.record import RunRecord
    from runcast.store.database import Backend
    from runcast.store.places import Content, RunFiles
    from runcast.store.places.bucket import BucketFiles
    from runcast.store.places.sealing import Sealer
    from runcast.store.protocol import Appended, Facts, OffsetMismatch, RunPage, SeriesValues
    from runcast.store.reindex import Reindex

__all__ = ["CRASHED_AFTER", "TRASH_AGE", "LocalStore"]

DATABASE = "store.db"

TRASH_AGE = 30 * 86400.0
"""Seconds that runs are kept in the trash."""


class LocalStore:
    """Runs in the folder `root`: `store.db`, and `runs/<id>/files/…` byte for byte. Thread-safe; processes may share it.

    A run has one writer at a time (its recorder holds the run's lock); any number of processes may read it and write others.

    What survives. The bytes of an append are in the file before the index says so, in one transaction, so after the crash of
    a process the index claims nothing that is not there, and what the file has beyond the recorded size is written again,
    the same. The disk itself is waited for (fdatasync) before the commit, but for appends within a second of the file's last wait
    or its first append (longer where so many files grow that waiting would take more than a hundredth of the time): of those the
    index keeps a checksum. When a store first appends to a file, it compares: a file that is shorter than recorded, or whose
    unwaited-for end is not what was recorded (the machine crashed), is indexed anew from its bytes, and `append` answers the
    smaller size. Nothing else is trusted but what the index has committed.

    Appends that just go on are kept in the index as they came, and moved to where they stay every `MOST_GROUPS` appends, when
    the run ends, and when the next recorder takes over; whoever reads sees no difference.

    With `files` (`s3://bucket/prefix`, see `runcast.objects.Objects`) the files are in a bucket instead: what is appended is in the
    database first, and becomes objects later (see `places.bucket`). A server's store says `own_in_place=False`: files under
    `own/` come to it as all others do.

    Every method raises `StoreError` when the folder or its database cannot be used, with nothing half done.
    """

    def __init__(
        self,
        root: Path,
        *,
        database: str | None = None,
        files: str | None = None,
        own_in_place: bool = True,
        memory: int = MEMORY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self._clock = clock
        try:
            (root / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot keep runs in {root}: {error.strerror}; set RUNCAST_DIR to a folder that can be written"
            ) from error
        self._database = Database(_backend(root, database), fill)
        self._sealer: Sealer | None = None
        self._files: RunFiles
        if files is None:
            self._files = FolderFiles(root / "runs", own_in_place=own_in_place)
        else:
            self._files, self._sealer = self._open_bucket(files)
        self._writer = Writer(self._files, self._database, clock, memory)
        self._catalog = Catalog(self._files, self._database, self._writer, clock)

    @property
    def network(self) -> str:
        """The type of the network file system that holds the store, or ""; there writing is slower (no WAL)."""
        return self._database.backend.network

    @property
    def database(self) -> Database:
        """The index's database, in which a server keeps who may do what, too."""
        return self._database

    def close(self) -> None:
        """Close the database's connections, after what is being sealed in a bucket now."""
        if self._sealer is not None:
            self._sealer.close()
        self._database.close()

    def __enter__(self) -> LocalStore:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Runs.

    def create(self, run: RunRecord) -> None:
        """See `Store.create`. Raises `RunNotFound` for a run that was deleted for good: it does not come back."""
        self._catalog.create(run)

    def create_all(self, runs: Sequence[RunRecord]) -> Mapping[str, bool]:
        """Make several runs known, in one transaction; return by id whether each is new. Those deleted for good are left out."""
        return self._catalog.create_all(runs)

    def note_all(self, notes: Mapping[str, tuple[Sequence[FileRecord], Facts]]) -> None:
        """Describe files (see `describe`) and change facts (see `update`) of several runs in one transaction.

        Runs that are not there are left out.
        """
        self._catalog.note_all(notes)

    def update(self, run: str, facts: Facts) -> None:
        """See `Store.update`. A heartbeat lets a run that was reported as crashed run again."""
        self._catalog.update(run, facts)

    def run(self, run: str) -> RunRecord:
        """See `Store.run`."""
        return self._catalog.run(run)

    def runs(self, query: RunQuery = RunQuery()) -> Sequence[RunRecord]:  # noqa: B008 - immutable
        """See `Store.runs`."""
        return list(self._catalog.page(query).runs)

    def page(self, query: RunQuery = RunQuery()) -> RunPage:  # noqa: B008 - immutable
        """Return what `runs` does, and how to go on. Raises `QueryError`."""
        return self._catalog.page(query)

    def trash(self, run: str) -> None:
        """See `Store.trash`."""
        self._catalog.trash(run)

    def restore(self, run: str) -> None:
        """See `Store.restore`."""
        self._catalog.restore(run)

    def purge(self, run: str) -> None:
        """Delete a run that is in the trash, and its files, for good. Raises `RunNotFound`, `StoreError` where it is not."""
        self._catalog.purge(run)

    def keep_for(self, project: str, age: float | None) -> None:
        """Let `expire` put runs of a project into the trash so many seconds after they ended; None: never."""
        self._catalog.keep_for(project, age)

    def kept_for(self) -> dict[str, float]:
        """Return the ages that `keep_for` set, by project."""
        return self._catalog.kept_for()

    def expire(self, now: float | None = None, trash_age: float = TRASH_AGE) -> tuple[list[str], list[str]]:
        """Put runs that are older than their project keeps them into the trash, and delete what has been there for `trash_age` s.

        A run's age is counted from its end, or when it was last alive. Returns the ids of the ones and the others.
        """
        return self._catalog.expire(self._clock() if now is None else now, trash_age)

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """See `Store.changes`."""
        mark, changed = self.changed(since)
        return mark, [run for run, _ in changed]

    def changed(self, since: int) -> tuple[int, Sequence[tuple[str, str]]]:
        """Return what `changes` does, each run with the project that it is in; "" for one that was deleted for good."""
        with self._database.read() as connection:
            mark, rows = self._database.backend.changes(connection, since)
        return mark, [(row.run, row.project or "") for row in rows]

    def mark(self) -> int:
        """Return the mark up to which `changes` tells of everything that is committed."""
        with self._database.read() as connection:
            return self._database.backend.mark(connection)

    # Files.

    def append(
        self, run: str, path: str, offset: int, data: bytes, *, final: bool = False
    ) -> Appended | OffsetMismatch:
        """See `Store.append`. Files under `own/` are written by the run itself: here they are only indexed."""
        (answer,) = self._writer.append(run, [Append(path, offset, data, final)])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def append_runs(
        self, appends: Mapping[str, Sequence[Append]]
    ) -> dict[str, list[Appended | OffsetMismatch | StoreError]]:
        """Append to files of many runs in one transaction; return the answers to each run's appends, in the same order.

        What is wrong with one run is answered to that run's appends, and the others are appended to.
        """
        return self._writer.append_runs(appends)

    def append_all(self, run: str, appends: Sequence[Append]) -> list[Appended | OffsetMismatch | StoreError]:
        """See `Store.append_all`. Files that cannot be written are refused, the rest share one transaction."""
        return self._writer.append(run, appends)

    def put(self, run: str, path: str, data: bytes | Path) -> int:
        """See `Store.put`. A file is copied in pieces, while other files may be appended to; it must be a regular one."""
        return self._writer.put(run, path, data)

    def size(self, run: str, path: str) -> int:
        """See `Store.size`."""
        with self._database.read() as connection:
            file = read_file(connection, run, path)
        return 0 if file is None else file.size

    def read(self, run: str, path: str, start: int, stop: int) -> bytes:
        """See `Store.read`."""
        size = self.size(run, path)
        if not FilePath.parse(path).is_whole:  # which may be another one by now, with a size of its own
            stop = min(stop, size)
        return self._files.read(run, path, start, stop) if size and start < stop else b""

    def open(self, run: str, path: str) -> Content | None:
        """Open a file of a run, to be read in pieces that belong together also where it is replaced meanwhile; close it at the end.

        None: the run has no such file. A file that is appended to is opened with the size that is recorded.
        """
        place = FilePath.parse(path)
        with self._database.read() as connection:
            file = read_file(connection, run, path)
        if file is None:
            return None
        if place.grows or not file.size:
            return _Recorded(self._files, run, path, file.size)
        return self._files.open(run, path, None if place.is_whole else file.size)

    def path(self, run: str, path: str) -> Path:
        """Return where a file of a run is on this disk. Raises `StoreError` where it is on none."""
        FilePath.parse(path)
        return self._files.local_path(run, path)

    def describe(self, run: str, *files: FileRecord) -> None:
        """See `Store.describe`."""
        self._catalog.describe(run, files)

    def files(self, run: str) -> Sequence[FileRecord]:
        """See `Store.files`."""
        with self._database.read() as connection:
            self._catalog.row(connection, run)
            return read_files(connection, run)

    # Series.

    def series(self, run: str) -> Sequence[SeriesRecord]:
        """See `Store.series`."""
        with self._database.read() as connection:
            self._catalog.row(connection, run)
            return read_series(connection, run)

    def values(self, runs: Sequence[str]) -> Mapping[str, Sequence[SeriesValues]]:
        """Return the values of the scalar series of several runs, at the cost of a few queries; runs that have none are left out."""
        with self._database.read() as connection:
            return read_values(connection, runs)

    def points(
        self,
        run: str,
        root: str,
        source: str,
        tag: str,
        *,
        step_range: tuple[int, int] | None = None,
        pixels: int | None = None,
    ) -> Points:
        """See `Store.points`. Where two writers were alive at once, a step may occur twice (see `supersession`)."""
        with self._database.read() as connection:
            self._catalog.row(connection, run)
            return read_points(connection, run, (root, source, tag), step_range, pixels)

    def summaries(self, run: str, root: str, source: str, tag: str) -> Sequence[SummaryRecord]:
        """See `Store.summaries`."""
        with self._database.read() as connection:
            self._catalog.row(connection, run)
            return read_summaries(connection, run, (root, source, tag))

    def reindex(self) -> Reindex:
        """Return what rebuilds the index of this store from its files, run by run."""
        from runcast.store.reindex import Reindex

        return Reindex(self._files, self._database, self._writer, self._clock)

    def _open_bucket(self, address: str) -> tuple[BucketFiles, Sealer]:
        from runcast.objects import Objects
        from runcast.store.places.bucket import BucketFiles
        from runcast.store.places.sealing import Sealer

        files = BucketFiles(Objects(address), self._database, self._clock)
        sealer = Sealer(files)
        sealer.start()
        return files, sealer


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is recorded of a file that is appended to: its bytes never change."""

    files: RunFiles
    run: str
    path: str
    size: int

    @property
    def version(self) -> str:
        """See `Content.version`."""
        return str(self.size)

    def read(self, start: int, stop: int) -> bytes:
        """See `Content.read`."""
        stop = min(stop, self.size)
        return self.files.read(self.run, self.path, start, stop) if start < stop else b""

    def close(self) -> None:
        """See `Content.close`."""


def _backend(root: Path, database: str | None) -> Backend:
    if database is None:
        return SQLite(root / DATABASE)
    from runcast.store.postgresql import PostgreSQL

    return PostgreSQL(database)
