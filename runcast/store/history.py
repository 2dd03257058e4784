"""Reading back what the index has: of files, of a run's series, and the points of one."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from itertools import chain, groupby, islice
from operator import itemgetter, or_
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import and_, bindparam, select

from runcast.errors import SeriesNotFound
from runcast.store import buckets, schema
from runcast.store.bounds import Bounds, number_of
from runcast.store.chunks import groups, left_in_chunk
from runcast.store.columns import Columns, decode
from runcast.store.index import SCALARS, read_spans
from runcast.store.protocol import FileRecord, Points, SeriesRecord, SeriesValues, SummaryRecord
from runcast.store.recent import Grown, of_series, read_bounds, read_grown, read_recent
from runcast.store.supersession import purged, standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

__all__ = ["read_file", "read_files", "read_points", "read_series", "read_summaries", "read_values"]

TOGETHER = 8
"""Chunks of which a chart's points are selected together."""

_FILE = [getattr(schema.file.c, name) for name in Grown._fields]
_WORDS = ("path", "source_path", "source_size", "state", "why")
_PART = schema.part.c
_SERIES = schema.series.c
_VALUES = (
    select(
        *(_SERIES.run, _SERIES.id, _SERIES.root, _SERIES.source, _SERIES.tag),
        *(_PART.last, _PART.min, _PART.max),
        *(_PART.count, _PART.first_step, _PART.last_step, _PART.last_wall_time),
    )
    .join(schema.part, and_(_PART.run == _SERIES.run, _PART.series == _SERIES.id))
    .where(_SERIES.run.in_(bindparam("several", expanding=True)), _SERIES.plugin == SCALARS, _PART.count > 0)
    .order_by(_SERIES.run, _SERIES.root, _SERIES.source, _SERIES.tag, _SERIES.id)
)


def read_file(connection: Connection, run: str, path: str) -> Grown | None:
    """Return how far a file is recorded; None for one that the run does not have."""
    file = schema.file.c
    row = connection.execute(select(*_FILE).where(file.run == run, file.path == path)).first()
    return None if row is None else read_grown(connection, run).get(row.id, Grown(*row))


def read_files(connection: Connection, run: str) -> list[FileRecord]:
    """Return the run's files, by path."""
    file = schema.file.c
    rows = connection.execute(select(schema.file).where(file.run == run).order_by(file.path)).all()
    grown = read_grown(connection, run)
    found = []
    for row in rows:
        now = grown.get(row.id, row)
        words = {name: getattr(row, name) for name in _WORDS}
        found.append(FileRecord(size=now.size, records=now.records, skipped=now.skipped, **words))
    return found


def read_series(connection: Connection, run: str) -> list[SeriesRecord]:
    """Return the run's series, by root, source and tag."""
    series = schema.series.c
    rows = connection.execute(
        select(
            *(series.id, series.root, series.source, series.tag, series.plugin),
            *(_PART.count, _PART.first_step, _PART.last_step),
            *(_PART.last_wall_time, _PART.last, _PART.min, _PART.max),
        )
        .join(schema.part, and_(_PART.run == series.run, _PART.series == series.id))
        .where(series.run == run, _PART.count > 0)
        .order_by(series.root, series.source, series.tag, series.id)
    ).all()
    bounds: dict[tuple[int, str, str, str, str], Bounds] = {}
    for row in rows:
        key = row[:5]
        bounds[key] = bounds.get(key, Bounds()) | Bounds.from_row(row)
    newest: dict[int, Bounds] = {}
    for _, number, more in read_bounds(connection, [run]):
        newest[number] = newest.get(number, Bounds()) | more
    found = []
    for key, known in bounds.items():
        now = known | newest.get(key[0], Bounds())
        found.append(
            SeriesRecord(
                *key,
                now.count,
                now.first_step,
                now.last_step,
                now.last,
                now.min,
                now.max,
                now.last_wall_time,
            )
        )
    return found


def read_values(connection: Connection, runs: Sequence[str]) -> dict[str, list[SeriesValues]]:
    """Return the values of the scalar series of runs, by root, source and tag; runs without any are left out."""
    found: defaultdict[str, list[SeriesValues]] = defaultdict(list)
    for group in groups(runs):
        newest: dict[tuple[str, int], Bounds] = {}
        for run, number, more in read_bounds(connection, group):
            newest[run, number] = newest.get((run, number), Bounds()) | more
        rows = connection.execute(_VALUES, {"several": group}).all()
        for key, same in groupby(rows, itemgetter(0, 1)):
            first, *more_parts = same
            run, _, root, source, tag, last, least, greatest, *_ = first
            grown = newest.get(key)
            if more_parts:
                known = reduce(or_, map(Bounds.from_row, (first, *more_parts)))
                known |= grown or Bounds()
                last, least, greatest = known.last, known.min, known.max
            elif grown is not None:  # the same, at a fraction of the cost: it comes after the part's others
                last = grown.last
                least = grown.min if least is None or grown.min < least else least
                greatest = grown.max if greatest is None or grown.max > greatest else greatest
            values = number_of(last), number_of(least), number_of(greatest)
            found[run].append(SeriesValues(root, source, tag, *values))
    return found


def read_points(
    connection: Connection,
    run: str,
    key: tuple[str, str, str],
    step_range: tuple[int, int] | None,
    pixels: int | None,
) -> Points:
    """Return the points of the scalar series `key` (root, source, tag) that count, as `Store.points` says."""
    (number, *_) = _numbers(connection, run, key, _SERIES.plugin == SCALARS)
    parts = _parts(connection, run, number)
    recent = list(of_series(read_recent(connection, run), number))
    pieces: Iterable[tuple[int, Columns]] = chain(
        _chunks(connection, run, key, number, parts, step_range), recent
    )
    within = step_range
    if pixels is not None and within is None and parts:
        ends = [(part.first_step, part.last_step) for part in parts.values()]
        ends += [(int(columns.step[0]), int(columns.step[-1])) for _, columns in recent]
        within = min(first for first, _ in ends), max(last for _, last in ends)
    if step_range is not None:
        pieces = ((file, _between(columns, *step_range)) for file, columns in pieces)
    if pixels is not None:
        pieces = _thinned(pieces, pixels, within)
    points = Columns.joined([columns for _, columns in pieces])
    if len(parts) > 1:
        points = points.rows(np.lexsort((points.wall_time, points.step)))
    if pixels is not None:
        points = points.rows(buckets.select(points.step, points.value, pixels, within))
    return Points(*points)


def _chunks(
    connection: Connection,
    run: str,
    key: tuple[str, str, str],
    number: int,
    parts: Mapping[int, Any],
    step_range: tuple[int, int] | None,
) -> Iterator[tuple[int, Columns]]:
    """Yield the points of a series that count, chunk by chunk, file by file; those of chunks that are out of range are left out."""
    chunk = schema.chunk.c
    spans = read_spans(connection, run, key[0], key[1])
    purges = {file: purged(spans[file], spans.values()) for file in parts}
    wanted = [chunk.run == run, chunk.series == number, chunk.count > 0]
    if step_range is not None:
        wanted += [chunk.last_step >= step_range[0], chunk.first_step <= step_range[1]]
    columns = (chunk.file, chunk.count, chunk.points, chunk.last_step, chunk.columns)
    # Row by row: no more than a few are in memory, which costs less than to ask for so much.
    for row in connection.execute(select(*columns).where(*wanted).order_by(chunk.file, chunk.seq)):
        if row.file not in parts:
            continue
        piece, cut = decode(row.columns), parts[row.file].cut
        if row.count < row.points or purges[row.file] or (cut is not None and cut <= row.last_step):
            piece = left_in_chunk(piece, row.last_step, cut, purges[row.file])
        yield row.file, piece


def _thinned(
    pieces: Iterable[tuple[int, Columns]], pixels: int, within: tuple[int, int] | None
) -> Iterator[tuple[int, Columns]]:
    """Yield what `buckets.select` takes of pieces, some of the same file together: so that few points are in memory at once."""
    for file, same in groupby(pieces, itemgetter(0)):
        while some := list(islice(same, TOGETHER)):
            columns = Columns.joined([columns for _, columns in some])
            yield file, columns.rows(buckets.select(columns.step, columns.value, pixels, within))


def _between(columns: Columns, first: int, last: int) -> Columns:
    begin, end = np.searchsorted(columns.step, first), np.searchsorted(columns.step, last, side="right")
    return columns.rows(slice(int(begin), int(end)))


def read_summaries(connection: Connection, run: str, key: tuple[str, str, str]) -> list[SummaryRecord]:
    """Return the summaries of the series `key` (root, source, tag) that count and are no scalars, in step order."""
    root, source, _ = key
    file, summary = schema.file.c, schema.summary.c
    spans = read_spans(connection, run, root, source)
    found = []
    for number in _numbers(connection, run, key, schema.series.c.plugin != SCALARS):
        parts = _parts(connection, run, number)
        rows = connection.execute(
            select(summary.step, summary.wall_time, summary.offset, summary.length, summary.file, file.path)
            .join(schema.file, and_(file.run == summary.run, file.id == summary.file))
            .where(summary.run == run, summary.series == number, summary.counts)
        )
        for row in rows:
            if row.file not in parts:
                continue
            one = Columns(np.array([row.step]), np.array([row.wall_time], np.float64), np.zeros(1))
            if standing(one, parts[row.file].cut, purged(spans[row.file], spans.values())).all():
                found.append(SummaryRecord(row.step, row.wall_time, row.path, row.offset, row.length))
    return sorted(found, key=lambda record: (record.step, record.wall_time))


def _numbers(
    connection: Connection, run: str, key: tuple[str, str, str], of_kind: ColumnElement[bool]
) -> list[int]:
    root, source, tag = key
    series = schema.series.c
    here = (series.run == run, series.root == root, series.source == source, series.tag == tag)
    found = connection.scalars(select(series.id).where(*here, of_kind).order_by(series.id)).all()
    if not found:
        raise SeriesNotFound(
            f"run {run} has no such series {tag!r} in root {root!r}, source {source!r}: "
            f"`runcast show {run}` lists those that it has"
        )
    return list(found)


def _parts(connection: Connection, run: str, number: int) -> dict[int, Any]:
    """Return the parts of a series by file: from where on others cut it off, and its bounds; those are left out of which nothing counts."""
    rows = connection.execute(
        select(_PART.file, _PART.cut, _PART.first_step, _PART.last_step).where(
            _PART.run == run, _PART.series == number, _PART.count > 0
        )
    )
    return {row.file: row for row in rows}
