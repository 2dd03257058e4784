"""From decoded batches to rows: the write side of the index."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert

from runcast.events.restarts import counting
from runcast.store import schema
from runcast.store.bounds import Bounds
from runcast.store.chunks import HEAD, Chunks, groups
from runcast.store.columns import Columns
from runcast.store.supersession import Span, cut, purged, standing, succeeds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from runcast.events.batch import Batch, Scalars, Summary

__all__ = ["SCALARS", "SourceIndex", "read_spans"]

SCALARS = "scalars"

_chunk = schema.chunk.c
_part = schema.part.c
_series = schema.series.c
_summary = schema.summary.c


_PUT_PART = insert(schema.part)
_PUT_PART = _PUT_PART.on_conflict_do_update(
    set_={column.name: _PUT_PART.excluded[column.name] for column in _part if not column.primary_key}
)


class _Arrival(NamedTuple):
    """What a batch brings of one series; `pointers` are its summaries, unless it is a scalar series."""

    columns: Columns
    pointers: list[Summary]


class SourceIndex:
    """The series of one (run, root, source), within one transaction.

    Where a file's points go forward and no other file has a say, its part's bounds are extended. Otherwise the series is
    *stale*: what counts of each of its parts is worked out anew, from the bounds of its chunks.
    """

    def __init__(self, connection: Connection, run: str, root: str, source: str) -> None:
        self._connection = connection
        self._run = run
        self._root = root
        self._source = source
        self._spans = read_spans(connection, run, root, source)

    def add(self, file: int, batch: Batch) -> None:
        """Index what a file's next batch holds."""
        before = self._spans[file]
        span = self._spans[file] = before.extended(batch)
        if span != before:
            self._write_span(span)
        arrivals = self._arrivals(batch)
        parts = self._parts(file, list(arrivals))
        shared = self._shared(file, [series for series in arrivals if series not in parts])
        sessions = [time for each in self._spans.values() for _, time in each.sessions]
        disturbed = span.first is not None and any(time > span.first for time in sessions)
        chunks = Chunks(self._connection, self._run, file)
        stale = set()
        extended = []
        for series, (columns, _) in arrivals.items():
            fresh = columns.rows(counting(columns.step))
            bounds = Bounds.of(fresh)
            lowest = bounds.first_step
            part = parts.get(series)
            if part is None:
                forward = series not in shared
            else:
                forward = part.cut is None and part.count > 0 and lowest > part.last_step
                bounds = Bounds.from_row(part) | bounds
                if disturbed or not forward:
                    self._supersede(chunks, file, series, lowest)
            if disturbed or not forward:
                stale.add(series)
            start = lowest if part is None else min(lowest, part.start)
            extended.append({"series": series, "start": start, "cut": part and part.cut, **bounds.to_row()})
        next_seqs = chunks.append(
            {series: columns for series, (columns, pointers) in arrivals.items() if not pointers},
            {series: part.next_seq for series, part in parts.items()},
        )
        self._write_pointers(file, arrivals)
        self._write_parts(
            [{"file": file, "next_seq": next_seqs.get(row["series"], 0), **row} for row in extended]
        )
        tie_changed = before.first is not None and self._tie(before) != self._tie(span)
        self.refresh(None if tie_changed or batch.session_starts else stale)

    def drop(self, file: int) -> None:
        """Forget all that the file holds."""
        for table in (schema.chunk, schema.summary, schema.part):
            self._connection.execute(table.delete().where(table.c.run == self._run, table.c.file == file))
        self._spans[file] = Span(file, self._spans[file].path)
        self._write_span(self._spans[file])
        self.refresh(None)

    def refresh(self, stale: Iterable[int] | None) -> None:
        """Work out anew what counts of the given series, or of all (None)."""
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
                same = {name: getattr(part, name) for name in ("series", "file", "start", "next_seq")}
                changed.append({**same, "cut": cut_at, **bounds.to_row()})
        self._write_parts(changed)

    def _tie(self, span: Span) -> list[tuple[bool, bool]]:
        """Return all that is decided between the file, with this span, and the others of its folder."""
        others = [other for other in self._spans.values() if other.file != span.file]
        ties = [(succeeds(other, span), succeeds(span, other)) for other in others]
        times = [time for other in self._spans.values() for _, time in other.sessions]
        if span.first is not None and span.last is not None:
            ties += [(time > span.first, time > span.last) for time in times]
        return ties

    def _write_span(self, span: Span) -> None:
        file = schema.file
        self._connection.execute(
            file.update()
            .where(file.c.run == self._run, file.c.id == span.file)
            .values(first_wall_time=span.first, last_wall_time=span.last, sessions=json.dumps(span.sessions))
        )

    def _parts(self, file: int, series: list[int]) -> dict[int, Any]:
        found = {}
        for group in groups(series):
            rows = self._connection.execute(
                select(schema.part).where(_part.run == self._run, _part.series.in_(group), _part.file == file)
            )
            found.update({row.series: row for row in rows})
        return found

    def _shared(self, file: int, series: list[int]) -> set[int]:
        """Return which of the series have points in other files too."""
        found: set[int] = set()
        for group in groups(series):
            found.update(
                self._connection.scalars(
                    select(_part.series).where(
                        _part.run == self._run, _part.series.in_(group), _part.file != file
                    )
                )
            )
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

    def _write_parts(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        statement = insert(schema.part)
        changing = {
            column.name: statement.excluded[column.name] for column in _part if not column.primary_key
        }
        self._connection.execute(
            statement.on_conflict_do_update(set_=changing), [{"run": self._run, **row} for row in rows]
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
        if rows:
            self._connection.execute(schema.summary.insert(), rows)

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
        """Return the numbers of the tags' series, by (tag, plugin), the earliest first."""
        rows: list[Any] = []
        for group in groups(tags):
            rows += self._connection.execute(
                select(_series.id, _series.tag, _series.plugin).where(
                    _series.run == self._run,
                    _series.root == self._root,
                    _series.source == self._source,
                    _series.tag.in_(group),
                )
            )
        return {(row.tag, row.plugin): row.id for row in sorted(rows, key=lambda row: row.id)}

    def _number(
        self, known: dict[tuple[str, str], int], keys: list[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        new = [key for key in keys if key not in known]
        if not new:
            return known
        last = self._connection.scalar(select(func.max(_series.id)).where(_series.run == self._run)) or 0
        numbers = {key: number for number, key in enumerate(new, last + 1)}
        place = {"run": self._run, "root": self._root, "source": self._source}
        self._connection.execute(
            schema.series.insert(),
            [
                {**place, "id": number, "tag": tag, "plugin": plugin}
                for (tag, plugin), number in numbers.items()
            ],
        )
        return known | numbers


def read_spans(connection: Connection, run: str, root: str, source: str) -> dict[int, Span]:
    """Return the lives of a folder's files, by the file's number."""
    file = schema.file.c
    rows = connection.execute(
        select(file.id, file.path, file.first_wall_time, file.last_wall_time, file.sessions).where(
            file.run == run, file.root == root, file.source == source
        )
    )
    return {row.id: Span.from_row(row) for row in rows}


def _by_tag(scalars: Scalars) -> list[tuple[str, Columns]]:
    columns = Columns(scalars.step, scalars.wall_time, scalars.value)
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
