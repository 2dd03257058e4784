"""`LocalStore`: runs in a folder, with an index in SQLite."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from runcast.errors import StoreError
from runcast.run.record import RunRecord
from runcast.run.trials import config_with
from runcast.store import schema
from runcast.store.database import Database
from runcast.store.history import read_file, read_files, read_points, read_series, read_summaries
from runcast.store.paths import FilePath, check_run_id
from runcast.store.places.folder import FolderFiles
from runcast.store.protocol import Append, FileRecord, Points, RunQuery, SeriesRecord, SummaryRecord
from runcast.store.writer import Writer, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from sqlalchemy import ColumnElement, Connection

    from runcast.store.places import RunFiles
    from runcast.store.places.bucket import BucketFiles
    from runcast.store.places.sealing import Sealer
    from runcast.store.protocol import Appended, Facts, OffsetMismatch

__all__ = ["CRASHED_AFTER", "LocalStore"]

CRASHED_AFTER = 300.0
"""Seconds without a heartbeat after which a running run is reported as crashed."""

DATABASE = "store.db"

_run = schema.run.c
_file = schema.file.c


class LocalStore:
    """Runs in the folder `root`: `store.db`, and `runs/<id>/files/…` byte for byte. Thread-safe; processes may share it.

    A run has one writer at a time (its recorder holds the run's lock); any number of processes may read it and write others.

    What survives. The bytes of an append are in the file before the index says so, in one transaction, so after the crash of
    a process the index claims nothing that is not there, and what the file has beyond the recorded size is written again,
    the same. The disk itself is waited for (fdatasync) before the commit, but for appends within a second of the file's last wait
    or its first append (longer where so many files grow that waiting would take more than a fiftieth of the time): of those the
    index keeps a checksum. When a store first appends to a file, it compares: a file that is shorter than recorded, or whose
    unwaited-for end is not what was recorded (the machine crashed), is indexed anew from its bytes, and `append` answers the
    smaller size. Nothing else is trusted but what the index has committed.

    Appends that just go on are kept in the index as they came, and moved to where they stay every `MOST_GROUPS` appends, when
    the run ends, and when the next recorder takes over; whoever reads sees no difference.

    With `files` (`s3://bucket/prefix`, see `places.objects.Objects`) the files are in a bucket instead: what is appended is in the
    database first, and becomes objects later (see `places.bucket`). A server's store says `own_in_place=False`: files under
    `own/` come to it as all others do.

    Every method raises `StoreError` when the folder or its database cannot be used, with nothing half done.
    """

    def __init__(
        self,
        root: Path,
        *,
        files: str | None = None,
        own_in_place: bool = True,
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
        self._database = Database(root / DATABASE)
        self._sealer: Sealer | None = None
        self._files: RunFiles
        if files is None:
            self._files = FolderFiles(root / "runs", own_in_place=own_in_place)
        else:
            self._files, self._sealer = self._open_bucket(files)
        self._writer = Writer(self._files, self._database, clock)

    @property
    def network(self) -> str:
        """The type of the network file system that holds the store, or ""; there writing is slower (no WAL)."""
        return self._database.network

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
        """See `Store.create`."""
        check_run_id(run.id)
        row = {
            "id": run.id,
            "project": run.project,
            "name": run.name,
            "state": run.state,
            "created": run.created,
            "ended": run.ended,
            "heartbeat": run.heartbeat,
            "config": _dump(run.config),
            "facts": _dump(run.facts),
            "change": _next_change(),
        }
        self._files.make(run.id)
        with self._database.write() as connection:
            connection.execute(insert(schema.run).values(row).on_conflict_do_nothing())

    def update(self, run: str, facts: Facts) -> None:
        """See `Store.update`. A heartbeat lets a run that was reported as crashed run again."""
        with self._writer.changing(run) as change:
            row = self._run_row(change.connection, run)
            names = ("name", "project", "state", "ended", "heartbeat")
            values = {name: value for name in names if (value := getattr(facts, name)) is not None}
            if facts.config:
                values["config"] = _dump({**json.loads(row.config), **facts.config})
            if facts.state == "running":
                values["ended"] = None
            if facts.facts:
                merged = {**json.loads(row.facts), **facts.facts}
                values["facts"] = _dump({name: fact for name, fact in merged.items() if fact is not None})
            if facts.ended is not None:
                change.fold()
            if values:
                change.connection.execute(schema.run.update().where(_run.id == run).values(values))

    def run(self, run: str) -> RunRecord:
        """See `Store.run`."""
        with self._database.read() as connection:
            return self._record(self._run_row(connection, run))

    def runs(self, query: RunQuery = RunQuery()) -> Sequence[RunRecord]:  # noqa: B008 - immutable
        """See `Store.runs`."""
        state = case((self._is_stale(), "crashed"), else_=_run.state)
        statement = select(schema.run).order_by(_run.created.desc(), _run.id).limit(query.limit)
        if query.project is not None:
            statement = statement.where(_run.project == query.project)
        if query.projects is not None:
            statement = statement.where(_run.project.in_(sorted(query.projects)))
        if query.state is not None:
            statement = statement.where(state == query.state)
        if query.group is not None:
            statement = statement.where(func.json_extract(_run.facts, "$.group") == query.group)
        for tag in query.tags:
            tags = func.json_each(_run.facts, "$.tags").table_valued("value")
            statement = statement.where(select(1).select_from(tags).where(tags.c.value == tag).exists())
        with self._database.read() as connection:
            return [self._record(row) for row in connection.execute(statement)]

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """See `Store.changes`."""
        mark, changed = self.changed(since)
        return mark, [run for run, _ in changed]

    def changed(self, since: int) -> tuple[int, Sequence[tuple[str, str]]]:
        """Return what `changes` does, each run with the project that it is in."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(_run.id, _run.project, _run.change).where(_run.change > since).order_by(_run.change)
            ).all()
        return (rows[-1].change if rows else since), [(row.id, row.project) for row in rows]

    def mark(self) -> int:
        """Return the mark up to which `changes` tells of everything that is committed."""
        with self._database.read() as connection:
            return connection.scalar(select(func.coalesce(func.max(_run.change), 0))) or 0

    # Files.

    def append(
        self, run: str, path: str, offset: int, data: bytes, *, final: bool = False
    ) -> Appended | OffsetMismatch:
        """See `Store.append`. Files under `own/` are written by the run itself: here they are only indexed."""
        (answer,) = self._writer.append(run, [Append(path, offset, data, final)])
        if isinstance(answer, StoreError):
            raise answer
        return answer

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
        stop = min(stop, self.size(run, path))
        FilePath.parse(path)
        return self._files.read(run, path, start, stop) if start < stop else b""

    def path(self, run: str, path: str) -> Path:
        """Return where a file of a run is on this disk. Raises `StoreError` where it is on none."""
        FilePath.parse(path)
        return self._files.local_path(run, path)

    def describe(self, run: str, *files: FileRecord) -> None:
        """See `Store.describe`."""
        self._writer.describe(run, files)

    def files(self, run: str) -> Sequence[FileRecord]:
        """See `Store.files`."""
        with self._database.read() as connection:
            self._run_row(connection, run)
            return read_files(connection, run)

    # Series.

    def series(self, run: str) -> Sequence[SeriesRecord]:
        """See `Store.series`."""
        with self._database.read() as connection:
            self._run_row(connection, run)
            return read_series(connection, run)

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
            self._run_row(connection, run)
            return read_points(connection, run, (root, source, tag), step_range, pixels)

    def summaries(self, run: str, root: str, source: str, tag: str) -> Sequence[SummaryRecord]:
        """See `Store.summaries`."""
        with self._database.read() as connection:
            self._run_row(connection, run)
            return read_summaries(connection, run, (root, source, tag))

    def _open_bucket(self, address: str) -> tuple[BucketFiles, Sealer]:
        from runcast.store.places.bucket import BucketFiles
        from runcast.store.places.objects import Objects
        from runcast.store.places.sealing import Sealer

        files = BucketFiles(Objects(address), self._database, self._clock)
        sealer = Sealer(files)
        sealer.start()
        return files, sealer

    def _run_row(self, connection: Connection, run: str) -> Any:
        row = connection.execute(select(schema.run).where(_run.id == run)).first()
        if row is None:
            raise not_found(run)
        return row

    def _is_stale(self) -> ColumnElement[bool]:
        oldest = self._clock() - CRASHED_AFTER
        return and_(
            _run.state == "running",
            or_(_run.heartbeat < oldest, and_(_run.heartbeat.is_(None), _run.created < oldest)),
        )

    def _record(self, row: Any) -> RunRecord:
        alive = row.created if row.heartbeat is None else row.heartbeat
        facts = json.loads(row.facts)
        stale = row.state == "running" and alive < self._clock() - CRASHED_AFTER
        return RunRecord(
            row.id,
            row.project,
            row.name,
            "crashed" if stale else row.state,
            row.created,
            row.ended,
            row.heartbeat,
            config_with(json.loads(row.config), facts),
            facts,
        )


def _next_change() -> Any:
    change = schema.run.alias().c.change
    return select(func.coalesce(func.max(change), 0) + 1).scalar_subquery()


def _dump(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), default=str)
