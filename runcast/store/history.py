"""Reading a series back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select

from runcast.errors import SeriesNotFound
from runcast.store import buckets, schema
from runcast.store.chunks import left_in_chunk
from runcast.store.columns import Columns, decode
from runcast.store.index import SCALARS, read_spans
from runcast.store.protocol import Points
from runcast.store.supersession import purged

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["read_points"]


def read_points(
    connection: Connection,
    run: str,
    key: tuple[str, str, str],
    step_range: tuple[int, int] | None,
    pixels: int | None,
) -> Points:
    """Return the points of the scalar series `key` (root, source, tag) that count, as `Store.points` says."""
    root, source, tag = key
    series, part, chunk = schema.series.c, schema.part.c, schema.chunk.c
    number = connection.scalar(
        select(series.id).where(
            series.run == run,
            series.root == root,
            series.source == source,
            series.tag == tag,
            series.plugin == SCALARS,
        )
    )
    if number is None:
        raise SeriesNotFound(
            f"run {run} has no scalar series {tag!r} in root {root!r}, source {source!r}: "
            f"`runcast show {run}` lists those that it has"
        )
    spans = read_spans(connection, run, root, source)
    cuts = {
        row.file: row.cut
        for row in connection.execute(
            select(part.file, part.cut).where(part.run == run, part.series == number, part.count > 0)
        )
    }
    wanted = [chunk.run == run, chunk.series == number, chunk.count > 0]
    if step_range is not None:
        wanted += [chunk.last_step >= step_range[0], chunk.first_step <= step_range[1]]
    pieces = [
        left_in_chunk(
            decode(row.columns), row.last_step, cuts[row.file], purged(spans[row.file], spans.values())
        )
        for row in connection.execute(
            select(chunk.file, chunk.last_step, chunk.columns).where(*wanted).order_by(chunk.file, chunk.seq)
        )
        if row.file in cuts
    ]
    points = Columns.joined(pieces)
    if len(cuts) > 1:
        points = points.rows(np.lexsort((points.wall_time, points.step)))
    if step_range is not None:
        low = np.searchsorted(points.step, step_range[0])
        points = points.rows(slice(int(low), int(np.searchsorted(points.step, step_range[1], side="right"))))
    if pixels is not None:
        points = points.rows(buckets.select(points.step, points.value, pixels, step_range))
    return Points(*points)
