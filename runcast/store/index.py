"""From decoded batches to rows: the write side of the index."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sqlalchemy import bindparam, func, select

from runcast.events.restarts import counting
from runcast.store import schema
from runcast.store.bounds import Bounds
from runcast.store.chunks import HEAD, Chunks, groups
from runcast.store.columns import Columns
from runcast.store.memory import PartMemory, SourceMemory
from runcast.store.rows import ADD_SERIES, ADD_SUMMARY, PUT_PART, SET_SPAN, Rows
from runcast.store.supersession import Span, cut, purged, standing, succeeds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from runcast.events.batch import Batch, Scalars, Summary

__all__ = ["SCALARS", "SourceIndex", "read_spans"]

SCALARS = "scalars"

_chunk = schema.chunk.c
_file = schema.file.c
_part = schema.part.c
_series = schema.series.c
_summary = schema.summary.c

_SPANS = select(_file.id, _file.path, _file.first_wall_time, _file.last_wall_time, _file.sessions).where(
    _file.run == bindparam("of_run"),
    _file.root == bindparam("of_root"),
    _file.source == bindparam("of_source"),
)
_SERIES_OF_TAGS = (
    select(_series.id, _series.tag, _series.plugin)
    .where(
        _series.run == bindparam("of_run"),
        _series.root == bindparam("of_root"),
        _series.source == bindparam("of_source"),
        _series.tag.in_(bindparam("tags", expanding=True)),
    )
    .order_by(_series.id)
)
_PARTS_OF_FILE = select(schema.part).where(
    _part.run == bindparam("of_run"),
    _part.series.in_(bindparam("several", expanding=True)),
    _part.file == bindparam("of_file"),
)
_IN_OTHER_FILES = select(_part.series).where(
    _part.run == bindparam("of_run"),
    _part.series.in_(bindparam("several", expanding=True)),
    _part.file != bindparam("of_file"),
)


class _Arrival(NamedTuple):
    """What a batch brings of one series; `pointers` are its summaries, unless it is a scalar series."""

    columns: Columns
    pointers: list[Summary]


class SourceIndex:
    """The series of one (run, root, source), within one transaction.

    Where a file's points go forward and no other file has a say, its part's bounds are extended. Otherwise the series is
    *stale*: what counts of each of its parts is worked out anew, from the bounds of its chunks.

    With `rows`, what is to be written is gathered there, and no file may be added to twice before they are flushed.
    With `memory`, what that knows is not read; it is kept up to date, and must be thrown away if the transaction fails.
    """

    def __init__(
        self,
        connection: Connection,
        run: str,
        root: str,
        source: str,
        rows: Rows | None = None,
        memory: SourceMemory | None = None,
    ) -> None:
        self._connection = connection
        self._run = run
        self._root = root
        self._source = source
        self._gathering = rows is not None
        self._rows = Rows(connection) if rows is None else rows
        self._memory = SourceMemory(read_spans(connection, run, root, source)) if memory is None else memory
        self._spans = self._memory.spans

    def add(self, file: int, batch: Batch) -> None:
        """Index what a file's next batch holds."""
        before = self._spans[file]
        span = self._spans[file] = before.extended(batch)
        if span != before:
            self._write_span(span)
        arrivals = self._arrivals(batch)
        parts = self._parts(file, list(arrivals))
        shared = self._shared(file, [series for series in arrivals if series not in parts])
        disturbed = span.first is not None and any(time > span.first for time in self._session_times())
        chunks = Chunks(self._connection, self._run, file)
        stale = set()
        fresh = {}
        for series, (columns, _) in arrivals.items():
            fresh[series] = bounds = Bounds.of(columns.rows(counting(columns.step)))
            lowest = bounds.first_step
            part = parts.get(series)
            if part is None:
                forward = series not in shared
                part = parts[series] = PartMemory(lowest, 0, None, bounds, [])
            else:
                forward = part.cut is None and part.bounds.count > 0 and lowest > part.bounds.last_step
                part.start = min(part.start, lowest)
                part.bounds |= bounds
                if disturbed or not forward:
                    self._supersede(chunks, file, series, lowest)
            if disturbed or not forward:
                stale.add(series)
        points = {series: columns for series, (columns, pointers) in arrivals.items() if not pointers}
        chunks.append(self._rows, points, fresh, parts)
        self._write_pointers(file, arrivals)
        self._rows.add(PUT_PART, [self._part_row(file, series, parts[series]) for series in arrivals])
        for series, part in parts.items():
            self._memory.parts[file, series] = part
        anew = batch.session_starts or self._tie_changed(before, span)
        if anew or stale:
            self.refresh(None if anew else stale)
        elif not self._gathering:
            self._rows.flush()

    def extend(self, file: int, arrivals: Mapping[int, Columns]) -> None:
        """Index points that just go on (see `recent`), by series."""
        span = self._spans[file]
        times = np.concatenate([columns.wall_time for columns in arrivals.values()])
        longer = span.reaching(float(np.fmin.reduce(times)), float(np.fmax.reduce(times)))
        if longer != span:
            self._spans[file] = longer
            self._write_span(longer)
        parts = self._parts(file, list(arrivals))
        fresh = {series: Bounds.of(columns) for series, columns in arrivals.items()}
        Chunks(self._connection, self._run, file).append(self._rows, arrivals, fresh, parts)
        for series, part in parts.items():
            part.bounds |= fresh[series]
            part.newest = None
        self._rows.add(PUT_PART, [self._part_row(file, series, part) for series, part in parts.items()])

    def drop(self, file: int) -> None:
        """Forget all that the file holds."""
        self._rows.flush()
        self._rows.touched[self._run].update(
            self._connection.scalars(select(_part.series).where(_part.run == self._run, _part.file == file))
        )
        for table in (schema.chunk, schema.summary, schema.part):
            self._connection.execute(table.delete().where(table.c.run == self._run, table.c.file == file))
        for key in [key for key in self._memory.parts if key[0] == file]:
            del self._memory.parts[key]
        self._spans[file] = Span(file, self._spans[file].path)
        self._write_span(self._spans[file])
        self.refresh(None)

    def refresh(self, stale: Iterable[int] | None) -> None:
        """Work out anew what counts of the given series, or of all (None)."""
        self._rows.flush()
        if stale is None:
            stale = self._connection.scalars(
                select(_series.id).where(
                    _series.run == self._run, _series.root == self._root, _series.source == self._source
                )
            )
        for group in groups(sorted(stale)):
            self._refresh(group)

    def _refresh(self, group: Sequence[int]) -> None:
        parts = self._connection.execute(
            select(schema.part).where(_part.run == self._run, _part.series.in_(group))
        ).all()
        starts: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for part in parts:
            starts[part.series][part.file] = part.start
        heads = defaultdict(list)
        for head in self._connection.execute(
            select(*HEAD)
            .where(_chunk.run == self._run, _chunk.series.in_(group), _chunk.count > 0)
            .order_by(_chunk.seq)
        ):
            heads[head.series, head.file].append(head)
        pointers = defaultdict(list)
        for pointer in self._connection.execute(
            select(_summary.series, _summary.file, _summary.step, _summary.wall_time)
            .where(_summary.run == self._run, _summary.series.in_(group), _summary.counts)
            .order_by(_summary.offset)
        ):
            pointers[pointer.series, pointer.file].append(pointer)
        changed = []
        for part in parts:
            span = self._spans[part.file]
            cut_at = cut(span, starts[part.series], self._spans.values())
            purges = purged(span, self._spans.values())
            chunks = Chunks(self._connection, self._run, part.file)
            bounds = Bounds()
            for head in heads[part.series, part.file]:
                bounds |= chunks.bounds_left(head, cut_at, purges)
            columns = _pointer_columns(pointers[part.series, part.file])
            bounds |= Bounds.of(columns.rows(standing(columns, cut_at, purges)))
            if bounds != Bounds.from_row(part) or cut_at != part.cut:
                now = PartMemory(part.start, part.next_seq, cut_at, bounds)
                changed.append(self._part_row(part.file, part.series, now))
                if (known := self._memory.parts.get((part.file, part.series))) is not None:
                    known.cut, known.bounds = cut_at, bounds
        if changed:
            self._rows.add(PUT_PART, changed)
            self._rows.flush()

    def _session_times(self) -> list[float]:
        return [time for each in self._spans.values() for _, time in each.sessions]

    def _tie_changed(self, before: Span, span: Span) -> bool:
        """Whether a file's longer span changes anything that is decided between it and the others of its folder."""
        if before.first is None or span == before:
            return False
        if before.first != span.first or before.last is None or span.last is None:
            return self._tie(before) != self._tie(span)
        firsts = [other.first for other in self._spans.values() if other.first is not None]
        return any(before.last < time <= span.last for time in (*firsts, *self._session_times()))

    def _tie(self, span: Span) -> list[tuple[bool, bool]]:
        """Return all that is decided between the file, with this span, and the others of its folder."""
        others = [other for other in self._spans.values() if other.file != span.file]
        ties = [(succeeds(other, span), succeeds(span, other)) for other in others]
        if span.first is not None and span.last is not None:
            ties += [(time > span.first, time > span.last) for time in self._session_times()]
        return ties

    def _write_span(self, span: Span) -> None:
        row = {"of_run": self._run, "of_file": span.file, "sessions": json.dumps(span.sessions)}
        self._rows.add(SET_SPAN, [{**row, "first_wall_time": span.first, "last_wall_time": span.last}])

    def _part_row(self, file: int, series: int, part: PartMemory) -> dict[str, Any]:
        key = {"run": self._run, "series": series, "file": file}
        return {
            **key,
            "start": part.start,
            "next_seq": part.next_seq,
            "cut": part.cut,
            **part.bounds.to_row(),
        }

    def _parts(self, file: int, series: list[int]) -> dict[int, PartMemory]:
        """Return the file's parts of those of the series that it has."""
        known = self._memory.parts
        unknown = [number for number in series if (file, number) not in known]
        for group in groups(unknown if self._memory.numbers is None else []):
            wanted = {"of_run": self._run, "several": group, "of_file": file}
            for row in self._connection.execute(_PARTS_OF_FILE, wanted):
                known[file, row.series] = PartMemory.from_row(row)
        return {number: part for number in series if (part := known.get((file, number))) is not None}

    def _shared(self, file: int, series: list[int]) -> set[int]:
        """Return which of the series have points in other files too."""
        if self._memory.numbers is not None:
            return {number for other, number in self._memory.parts if other != file}.intersection(series)
        found: set[int] = set()
        if series:
            self._rows.flush()  # another file of this folder may just have been gathered
        for group in groups(series):
            wanted = {"of_run": self._run, "several": group, "of_file": file}
            found.update(self._connection.scalars(_IN_OTHER_FILES, wanted))
        return found

    def _supersede(self, chunks: Chunks, file: int, series: int, lowest: int) -> None:
        chunks.supersede(series, lowest)
        self._connection.execute(
            schema.summary.update()
            .where(
                _summary.run == self._run,
                _summary.series == series,
                _summary.file == file,
                _summary.counts,
                _summary.step >= lowest,
            )
            .values(counts=False)
        )

    def _write_pointers(self, file: int, arrivals: dict[int, _Arrival]) -> None:
        rows = [
            {
                "run": self._run,
                "series": series,
                "file": file,
                "offset": summary.offset,
                "length": summary.length,
                "step": summary.step,
                "wall_time": summary.wall_time,
                "counts": bool(counts),
            }
            for series, (columns, pointers) in arrivals.items()
            if pointers
            for summary, counts in zip(pointers, counting(columns.step), strict=True)
        ]
        self._rows.add(ADD_SUMMARY, rows)

    def _arrivals(self, batch: Batch) -> dict[int, _Arrival]:
        """Return what a batch brings, by series; new series get their numbers."""
        tags = dict.fromkeys([*batch.scalars.tags, *(summary.tag for summary in batch.summaries)])
        known = self._known(list(tags))
        arrivals = {(tag, SCALARS): _Arrival(columns, []) for tag, columns in _by_tag(batch.scalars)}
        # Metadata may stand on a tag's first event only: what has none is of the plugin that the tag had before.
        plugins: dict[str, str] = {}
        for tag, plugin in known:
            if plugin not in {"", SCALARS}:
                plugins.setdefault(tag, plugin)
        pointers: defaultdict[tuple[str, str], dict[int, Summary]] = defaultdict(dict)
        for summary in batch.summaries:
            plugin = summary.plugin or plugins.get(summary.tag, "")
            if plugin:
                plugins.setdefault(summary.tag, plugin)
            pointers[summary.tag, plugin][summary.offset] = summary
        for key, by_offset in pointers.items():
            found = list(by_offset.values())
            arrivals[key] = _Arrival(_pointer_columns(found), found)
        numbers = self._number(known, list(arrivals))
        return {numbers[key]: arrival for key, arrival in arrivals.items()}

    def _known(self, tags: list[str]) -> dict[tuple[str, str], int]:
        """Return the numbers of the tags' series, by (tag, plugin), the earliest of a tag first."""
        plugins = self._memory.plugins
        unknown = [tag for tag in tags if tag not in plugins]
        for group in groups(unknown if self._memory.numbers is None else []):
            wanted = {"of_run": self._run, "of_root": self._root, "of_source": self._source, "tags": group}
            for row in self._connection.execute(_SERIES_OF_TAGS, wanted):
                plugins.setdefault(row.tag, {})[row.plugin] = row.id
        return {(tag, plugin): number for tag in tags for plugin, number in plugins.get(tag, {}).items()}

    def _number(
        self, known: dict[tuple[str, str], int], keys: list[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        new = [key for key in keys if key not in known]
        if not new:
            return known
        given = self._memory.numbers
        if given is None:
            last = self._connection.scalar(select(func.max(_series.id)).where(_series.run == self._run)) or 0
        else:
            last, given.series = given.series, given.series + len(new)
        numbers = {key: number for number, key in enumerate(new, last + 1)}
        place = {"run": self._run, "root": self._root, "source": self._source}
        self._rows.add(
            ADD_SERIES,
            [
                {**place, "id": number, "tag": tag, "plugin": plugin}
                for (tag, plugin), number in numbers.items()
            ],
        )
        if given is None:
            self._rows.flush()
        self._rows.numbered[self._run].series.extend(
            (number, self._root, self._source, *key) for key, number in numbers.items()
        )
        for (tag, plugin), number in numbers.items():
            self._memory.plugins.setdefault(tag, {})[plugin] = number
        return known | numbers


def read_spans(connection: Connection, run: str, root: str, source: str) -> dict[int, Span]:
    """Return the lives of a folder's files, by the file's number."""
    rows = connection.execute(_SPANS, {"of_run": run, "of_root": root, "of_source": source})
    return {row.id: Span.from_row(row) for row in rows}


def _by_tag(scalars: Scalars) -> list[tuple[str, Columns]]:
    columns = Columns(scalars.step, scalars.wall_time, scalars.value)
    if len(scalars.tags) == 1:
        return [(scalars.tags[0], columns)]
    order = np.argsort(scalars.tag, kind="stable")
    ends = np.searchsorted(scalars.tag[order], np.arange(len(scalars.tags)), side="right")
    rows = np.split(order, ends)[: len(scalars.tags)]
    return [(tag, columns.rows(mine)) for tag, mine in zip(scalars.tags, rows, strict=True) if len(mine)]


def _pointer_columns(rows: Sequence[Any]) -> Columns:
    return Columns(
        np.array([row.step for row in rows], np.int64),
        np.array([row.wall_time for row in rows], np.float64),
        np.full(len(rows), math.nan),
    )
