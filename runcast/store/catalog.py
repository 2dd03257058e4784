"""What a store is told of its runs: their facts, what people change of them, the trash, and how long they are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from runcast.errors import RunNotFound, StoreError
from runcast.run.record import RunRecord
from runcast.run.trials import FACT as TRIALS_FACT
from runcast.run.trials import config_with
from runcast.store import journal, schema
from runcast.store.fields import LABELS, PUT_FIELD, PUT_METRIC, SUMMARY, field_rows, metric_rows, refill, said
from runcast.store.finding import find, is_stale
from runcast.store.paths import FilePath, check_run_id
from runcast.store.protocol import RunPage
from runcast.store.transactions import not_found
from runcast.store.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from runcast.store.change import Change
    from runcast.store.database import Database
    from runcast.store.places import RunFiles
    from runcast.store.protocol import Facts, FileRecord, RunQuery
    from runcast.store.writer import Writer

__all__ = ["CRASHED_AFTER", "EDITABLE", "WORDS", "Catalog"]

CRASHED_AFTER = 300.0
"""Seconds without a heartbeat after which a running run is reported as crashed."""

EDITABLE = ("name", "project")
EDITABLE_FACTS = ("tags", "notes", "group", "job_type")
"""What a person can change of a run, for good."""

_run = schema.run.c
_pulse = schema.pulse.c
_retention = schema.retention.c
_file = schema.file.c

WORDS = select(_file.path, _file.source_path, _file.source_size, _file.state, _file.why).where(
    _file.run == bindparam("of_run")
)

_ROW = (
    select(schema.run, _pulse.heartbeat)
    .join(schema.pulse, _pulse.run == _run.id)
    .where(_run.id == bindparam("of_run"))
)
_SET_WORDS = (
    schema.file.update()
    .where(_file.run == bindparam("of_run"), _file.id == bindparam("of_file"))
    .values({name: bindparam(f"new_{name}") for name in ("source_path", "source_size", "state", "why")})
)
_KEEP = Upsert(schema.retention)
_ADD_RUN = Upsert(schema.run, keep=True)
_ADD_PULSE = Upsert(schema.pulse, keep=True)


class Catalog:
    """The runs of a store; see `LocalStore`, whose methods these are. Thread-safe."""

    def __init__(
        self, files: RunFiles, database: Database, writer: Writer, clock: Callable[[], float]
    ) -> None:
        self._files = files
        self._database = database
        self._writer = writer
        self._transactions = writer.transactions
        self._clock = clock

    def create(self, run: RunRecord) -> None:
        """See `Store.create`. Raises `RunNotFound` for a run that was deleted for good: it does not come back."""
        if self.create_all([run]).get(run.id) is None:
            raise RunNotFound(f"run {run.id} was deleted from this store for good: record another one")

    def create_all(self, runs: Sequence[RunRecord]) -> dict[str, bool]:
        """See `LocalStore.create_all`."""
        found: dict[str, bool] = {}
        fields: list[Any] = []
        metrics: list[Any] = []
        with self._database.write() as connection:
            mark = connection.scalar(select(self._database.backend.next_mark)) or 1
            for run in sorted(runs, key=lambda run: check_run_id(run.id)):
                pulse = {"run": run.id, "change": mark, "heartbeat": run.heartbeat}
                counted = {"preserve_rowcount": True}
                if connection.execute(_ADD_PULSE.on(connection), pulse, execution_options=counted).rowcount:
                    found[run.id] = True
                    self._make(connection, run)
                    config = config_with(run.config, run.facts)
                    fields += field_rows(run.id, run.project, config, run.facts)
                    metrics += metric_rows(run.id, run.project, {}, said(run.facts))
                elif connection.execute(_ROW, {"of_run": run.id}).first() is not None:
                    found[run.id] = False
                    self._files.make(run.id)
            for statement, rows in ((PUT_METRIC, metrics), (PUT_FIELD, fields)):
                if rows:
                    connection.execute(statement.on(connection), rows)
        for run_id in [run_id for run_id, is_new in found.items() if is_new]:
            self._transactions.made(run_id, mark)
        return found

    def _make(self, connection: Connection, run: RunRecord) -> None:
        row = {
            "id": run.id,
            "project": run.project,
            "name": run.name,
            "state": run.state,
            "created": run.created,
            "ended": run.ended,
        }
        values = {**row, "config": run.config, "facts": run.facts, "heartbeat": run.heartbeat}
        self._files.make(run.id)
        self._files.journal(connection, run.id, journal.created(values, self._clock()))
        row |= {"config": _dump(run.config), "facts": _dump(run.facts)}
        connection.execute(_ADD_RUN.on(connection), row)

    def describe(self, run: str, described: Sequence[FileRecord]) -> None:
        """See `Store.describe`."""
        for each in described:
            FilePath.parse(each.path)
        with self._transactions.changing(run) as change:
            self._describe(change, run, described)

    def update(self, run: str, facts: Facts) -> None:
        """See `Store.update`. A heartbeat lets a run that was reported as crashed run again."""
        with self._transactions.changing(run, alive=facts.heartbeat) as change:
            self._update(change, run, facts)

    def note_all(self, notes: Mapping[str, tuple[Sequence[FileRecord], Facts]]) -> None:
        """See `LocalStore.note_all`."""
        with self._transactions.changing_several(list(notes)) as changes:
            for run, (files, facts) in notes.items():
                if run in changes:
                    self._describe(changes[run], run, files)
                    self._update(changes[run], run, facts)

    def _describe(self, change: Change, run: str, described: Sequence[FileRecord]) -> None:
        if not described:
            return
        self._journal_words(change, run, described)
        rows = []
        for each in described:
            row = {"of_run": run, "of_file": change.file(each.path).id}
            row |= {"new_source_path": each.source_path, "new_source_size": each.source_size}
            rows.append({**row, "new_state": each.state, "new_why": each.why})
        change.rows.flush()
        change.connection.execute(_SET_WORDS, rows)

    def _update(self, change: Change, run: str, facts: Facts) -> None:
        row = self.row(change.connection, run)
        edited = set(json.loads(row.edited))
        values: dict[str, Any] = {}
        for name in ("name", "project", "state", "ended"):
            if (value := getattr(facts, name)) is not None and (facts.edit or name not in edited):
                values[name] = value
        if facts.config:
            values["config"] = _dump({**json.loads(row.config), **facts.config})
        if facts.state == "running":
            values["ended"] = None
        said = {name: fact for name, fact in facts.facts.items() if facts.edit or name not in edited}
        if said:
            merged = {**json.loads(row.facts), **said}
            values["facts"] = _dump({name: fact for name, fact in merged.items() if fact is not None})
        if facts.edit:
            edited |= {name for name in EDITABLE if getattr(facts, name) is not None}
            edited |= {name for name in EDITABLE_FACTS if name in facts.facts}
            values["edited"] = json.dumps(sorted(edited))
        if facts.ended is not None:
            change.fold()
        values = {name: value for name, value in values.items() if value != getattr(row, name)}
        self._journal(change, run, facts, row, values)
        if values:
            change.connection.execute(schema.run.update().where(_run.id == run).values(values))
        if "project" in values or _findable(row, values) != _findable(row, {}):
            self._refill(change, run)

    def run(self, run: str) -> RunRecord:
        """See `Store.run`."""
        with self._database.read() as connection:
            return self._record(self.row(connection, run))

    def page(self, query: RunQuery) -> RunPage:
        """See `LocalStore.page`."""
        with self._database.read() as connection:
            found = find(connection, query, self._clock() - CRASHED_AFTER)
        return RunPage(tuple(self._record(row) for row in found.rows), found.next)

    def trash(self, run: str) -> None:
        """See `Store.trash`."""
        self._set_trashed(run, self._clock())

    def restore(self, run: str) -> None:
        """See `Store.restore`."""
        self._set_trashed(run, None)

    def purge(self, run: str) -> None:
        """See `LocalStore.purge`. The index forgets it first: a crash leaves files that nobody finds, which `reindex` deletes."""
        with self._database.change([run]) as (connection, locked):
            if run not in locked.marks:
                raise not_found(run)
            row = self.row(connection, run)
            if row.trashed is None:
                raise StoreError(f"run {run} is not in the trash: put it there before it is deleted for good")
            for table in schema.metadata.sorted_tables:
                if "run" in table.c and table is not schema.pulse:
                    connection.execute(table.delete().where(table.c.run == run))
            connection.execute(schema.run.delete().where(_run.id == run))
            gone = {"change": locked.mark, "purged": True}
            connection.execute(schema.pulse.update().where(_pulse.run == run).values(gone))
        self._writer.forget(run)
        self._files.bury(run, self._clock())
        self._files.remove(run)

    def keep_for(self, project: str, age: float | None) -> None:
        """See `LocalStore.keep_for`."""
        with self._database.write() as connection:
            if age is None:
                connection.execute(schema.retention.delete().where(_retention.project == project))
            else:
                connection.execute(_KEEP.on(connection), {"project": project, "age": age})

    def kept_for(self) -> dict[str, float]:
        """See `LocalStore.kept_for`."""
        with self._database.read() as connection:
            return {row.project: row.age for row in connection.execute(select(schema.retention))}

    def expire(self, now: float, trash_age: float) -> tuple[list[str], list[str]]:
        """See `LocalStore.expire`."""
        last_alive = func.coalesce(_run.ended, _pulse.heartbeat, _run.created)
        is_over = (_run.state != "running") | is_stale(now - CRASHED_AFTER)
        old = (
            select(_run.id)
            .join(schema.pulse, _pulse.run == _run.id)
            .join(schema.retention, _retention.project == _run.project)
            .where(_run.trashed.is_(None), is_over, last_alive < now - _retention.age)
        )
        with self._database.read() as connection:
            expired = list(connection.scalars(old))
            rotten = list(connection.scalars(select(_run.id).where(_run.trashed < now - trash_age)))
        trashed = [run for run in expired if self._while_there(self._set_trashed, run, now)]
        return trashed, [run for run in rotten if self._while_there(self.purge, run)]

    def row(self, connection: Connection, run: str) -> Any:
        """Return a run's row, with `heartbeat`. Raises `RunNotFound`."""
        row = connection.execute(_ROW, {"of_run": run}).first()
        if row is None:
            raise not_found(run)
        return row

    def _set_trashed(self, run: str, when: float | None) -> None:
        with self._transactions.changing(run) as change:
            self._files.journal(change.connection, run, journal.changed({"trashed": when}, self._clock()))
            change.connection.execute(schema.run.update().where(_run.id == run).values(trashed=when))

    def _journal(self, change: Change, run: str, facts: Facts, row: Any, values: Mapping[str, Any]) -> None:
        """Journal what changes of a run's row; at its end all that is not said as it changes, too."""
        said = dict(values)
        for name in journal.MERGED:
            if name in values:
                said[name] = journal.keys_changed(json.loads(getattr(row, name)), json.loads(values[name]))
        if facts.ended is not None:
            said["heartbeat"] = row.heartbeat if facts.heartbeat is None else facts.heartbeat
            words = {each.path: tuple(each[1:]) for each in change.connection.execute(WORDS, {"of_run": run})}
            self._files.journal(change.connection, run, journal.described(words, self._clock()))
        self._files.journal(change.connection, run, journal.changed(said, self._clock()))

    def _journal_words(self, change: Change, run: str, described: Sequence[FileRecord]) -> None:
        """Journal what became of sources, but for their sizes, which change all the time."""
        known = {each.path: each for each in change.connection.execute(WORDS, {"of_run": run})}
        said = {}
        for each in described:
            before = known.get(each.path)
            words = (each.source_path, each.state, each.why)
            if before is None or (before.source_path, before.state, before.why) != words:
                said[each.path] = (each.source_path, each.source_size, each.state, each.why)
        self._files.journal(change.connection, run, journal.described(said, self._clock()))

    def _refill(self, change: Change, run: str) -> None:
        change.memory.names = None
        change.rows.flush()
        refill(change.connection, [run])

    def _while_there(self, act: Callable[..., None], run: str, *arguments: Any) -> bool:
        """Do something with a run that somebody else may have dealt with in the meantime."""
        try:
            act(run, *arguments)
        except RunNotFound:
            return False
        return True

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
            row.trashed,
        )


def _findable(row: Any, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what runs are found and ordered by, of a row with new values."""
    facts = json.loads(values.get("facts", row.facts))
    labels = [facts.get(name) for name in (SUMMARY, TRIALS_FACT, "tags", *LABELS)]
    return (values.get("config", row.config), *labels)


def _dump(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), default=str)
